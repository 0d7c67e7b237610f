"""Keep what an offer may pay for until its hour is settled. A batch of other clicks costs a look into memory."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from services.clicks.domain.billable import BillableClick, shopper_of
from services.clicks.storage.billable_store import LoggedClick, find_version_payloads, note_clicks
from services.clicks.storage.click_store import ClickRow
from shared.contracts.catalogue import CATALOGUE_DECODER, OfferVersionPublishedV1, offer_version_key
from shared.runtime.database import Session

EVENT_CLICK: Final = "click"
"""Of the terms that pay for clicks."""

NOTED_UNTIL: Final = timedelta(days=45)
"""A click that comes later than this is not paid for: its note, kept for 60 days, could have gone already."""

Version = tuple[int, int]
"""offer, and number of its version."""


class PayingVersions:
    """Which offer versions pay for clicks, in memory: a version never changes."""

    def __init__(self) -> None:
        self._pays: dict[Version, bool] = {}

    async def learn(self, session: Session, versions: Iterable[Version]) -> None:
        """Read those that are not known yet."""
        unknown = {offer_version_key(*version): version for version in versions if version not in self._pays}
        if not unknown:
            return
        for key, payload in (await find_version_payloads(session, list(unknown))).items():
            self._pays[unknown[key]] = _pays(payload)

    def pays(self, version: Version) -> bool | None:
        """Whether it does; None while it has not arrived."""
        return self._pays.get(version)


async def note_billable_clicks(
    session: Session, paying: PayingVersions, clicks: Sequence[ClickRow], now: datetime
) -> int:
    """Note those that may be paid for, once each; gives how many it looked at closer.

    One whose version has not arrived is noted too, and waits for it.
    """
    versions = {(click.offer_id, click.offer_version) for click in clicks}
    await paying.learn(session, versions)
    maybe = {version for version in versions if paying.pays(version) is not False}
    if not maybe:
        return 0
    noted = [
        logged
        for click in clicks
        if (click.offer_id, click.offer_version) in maybe and (logged := _noted(click, now)) is not None
    ]
    if noted:
        await note_clicks(session, noted, now)
    return len(noted)


def _noted(click: ClickRow, now: datetime) -> LoggedClick | None:
    shopper = shopper_of(visitor_key=click.visitor_key, ip_hash=click.ip_hash, user_agent=click.user_agent)
    if click.flags or shopper is None or click.clicked_at < now - NOTED_UNTIL:
        return None
    billable = BillableClick(
        click_id=click.click_id,
        clicked_at=click.clicked_at,
        offer_version=click.offer_version,
        affiliate_id=click.affiliate_id,
        merchant_id=click.merchant_id,
        shopper=shopper,
    )
    return LoggedClick(billable, click.offer_id)


def _pays(payload: bytes) -> bool:
    event = CATALOGUE_DECODER.decode(payload)
    return isinstance(event, OfferVersionPublishedV1) and any(term.event == EVENT_CLICK for term in event.terms)
