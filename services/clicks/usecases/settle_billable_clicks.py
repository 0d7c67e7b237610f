"""Settle hours of clicks that offers pay for: judge them, and tell conversions how many, once."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from services.clicks.domain.billable import BillableClick, settled_before, valid_clicks
from services.clicks.storage.billable_store import (
    BundleRow,
    DueHour,
    find_due_hour,
    find_last_parts,
    find_paid,
    find_pending,
    insert_bundles,
    mark_judged,
    may_settle,
)
from services.clicks.usecases.note_billable_clicks import PayingVersions
from shared.contracts.clicks import BillableClicksSettledV1
from shared.contracts.events import encode_event
from shared.contracts.topics import BILLABLE_CLICKS
from shared.kernel.clock import Clock
from shared.kernel.ids import new_id
from shared.runtime.database import Session, after_commit
from shared.runtime.metrics import counter
from shared.runtime.outbox import OutgoingEvent, append
from shared.runtime.sweep import Step

SETTLE_MAX: Final = 20_000
"""Clicks judged in one transaction; what is left of the hour makes its next part."""

QUIET: Final = timedelta(minutes=1)
"""While clicks of an hour still come, from a backlog, its part stays open …"""

WAITED: Final = timedelta(hours=1)
"""… but not longer than this."""

_judged = counter("billable_judged", unit="clicks", meaning="Clicks judged that offers may pay for", labels=["verdict"])


def settle_step(paying: PayingVersions) -> Step:
    """One hour of one offer a transaction; gives how many clicks were judged."""

    async def settle(session: Session, clock: Clock) -> int:
        now = clock.now()
        if not await may_settle(session):
            return 0
        due = await find_due_hour(
            session,
            before=settled_before(now),
            quiet_since=now - QUIET,
            long_before=settled_before(now - WAITED),
            waited_since=now - WAITED,
        )
        return 0 if due is None else await _settle_hour(session, paying, due, now)

    return settle


async def _settle_hour(session: Session, paying: PayingVersions, due: DueHour, now: datetime) -> int:
    pending = await find_pending(session, due, SETTLE_MAX)
    await paying.learn(session, {(due.offer_id, click.offer_version) for click in pending})
    paid_for = [click for click in pending if paying.pays((due.offer_id, click.offer_version))]
    shoppers = {click.shopper for click in paid_for if click.shopper is not None}
    valid = valid_clicks(paid_for, await find_paid(session, due, shoppers))
    others = [click.click_id for click in pending if click.click_id not in valid]
    await mark_judged(session, valid=valid, others=others)
    bundles = await _bundles(session, due, [click for click in paid_for if click.click_id in valid], now)
    if bundles:
        await insert_bundles(session, bundles)
        await append(session, [_outgoing(bundle) for bundle in bundles])
    after_commit(session, lambda: _count(len(valid), len(others)))
    return len(pending)


async def _bundles(session: Session, due: DueHour, valid: Sequence[BillableClick], now: datetime) -> list[BundleRow]:
    counts = Counter((click.offer_version, click.affiliate_id, click.merchant_id) for click in valid)
    last_parts = await find_last_parts(session, due)
    return [
        BundleRow(
            offer_id=due.offer_id,
            offer_version=version,
            affiliate_id=affiliate_id,
            merchant_id=merchant_id,
            hour_at=due.hour_at,
            part=last_parts.get((version, affiliate_id), 0) + 1,
            quantity=quantity,
            settled_at=now,
        )
        for (version, affiliate_id, merchant_id), quantity in sorted(counts.items())
    ]


def _outgoing(bundle: BundleRow) -> OutgoingEvent:
    event = BillableClicksSettledV1(
        event_id=new_id(),
        occurred_at=bundle.settled_at,
        offer_id=bundle.offer_id,
        offer_version=bundle.offer_version,
        affiliate_id=bundle.affiliate_id,
        merchant_id=bundle.merchant_id,
        hour_at=bundle.hour_at,
        part=bundle.part,
        quantity=bundle.quantity,
    )
    key = str(bundle.affiliate_id).encode("ascii")
    return OutgoingEvent(BILLABLE_CLICKS, key, event.event_id, encode_event(event))


def _count(valid: int, others: int) -> None:
    _judged.labels("valid").inc(valid)
    _judged.labels("not_valid").inc(others)
