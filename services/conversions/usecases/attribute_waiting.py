"""Decide conversions that waited for their offer version, as of their first receipt."""

from datetime import datetime
from typing import Final
from uuid import UUID

from services.conversions.domain.attribution import Verdict, attribute
from services.conversions.domain.bundle import judge_bundle
from services.conversions.domain.catalogue import Catalogue, OfferVersion
from services.conversions.domain.conversion import Actor, Change, Conversion, next_version, with_verdict
from services.conversions.domain.reason_codes import ReasonCode
from services.conversions.domain.transitions import Status
from services.conversions.storage.conversion_store import find_offer_version_payloads, lock_ready_waiting
from services.conversions.usecases.learn_catalogue import learn_catalogue
from services.conversions.usecases.record_changes import record_changes
from services.conversions.usecases.settle_customers import Candidate, settle_customers
from shared.contracts.catalogue import offer_version_key
from shared.kernel.click_id import Click, ClickFlags
from shared.kernel.clock import Clock
from shared.runtime.database import Session

BATCH: Final = 200
_RULE: Final = Actor("rule", "offer_version_arrived")


async def attribute_waiting(session: Session, clock: Clock) -> int:
    """Attribute a batch of those whose version has arrived; gives how many. Each gets its next version."""
    waiting = await lock_ready_waiting(session, BATCH)
    if not waiting:
        return 0
    catalogue = Catalogue()
    keys = {offer_version_key(c.offer_id or 0, c.offer_version or 0) for c in waiting}
    for payload in (await find_offer_version_payloads(session, keys)).values():
        learn_catalogue(catalogue, payload)
    now = clock.now()
    decided = [candidate for c in waiting if (candidate := _decide(c, catalogue, now)) is not None]
    settled, _ = await settle_customers(session, sorted(decided, key=_recorded))
    reason = ReasonCode.OFFER_VERSION_ARRIVED.value
    changes = [Change(c.conversion, "attributed", _RULE, reason, steps=c.verdict.steps) for c in settled]
    await record_changes(session, changes)
    return len(changes)


def _recorded(candidate: Candidate) -> tuple[datetime, UUID]:
    return candidate.conversion.first_received_at, candidate.conversion.id


def _decide(conversion: Conversion, catalogue: Catalogue, now: datetime) -> Candidate | None:
    version = catalogue.find_version(conversion.offer_id or 0, conversion.offer_version or 0)
    click = None if conversion.click_id is None else _click_of(conversion)
    verdict = _bundle_verdict(conversion, version) if click is None else attribute(conversion.reported, click, version)
    if verdict.status is Status.WAITING:
        return None
    return Candidate(with_verdict(next_version(conversion, now), verdict), verdict, click, version)


def _bundle_verdict(conversion: Conversion, version: OfferVersion | None) -> Verdict:
    """Of what waits without a click ID: clicks of a bundle."""
    return judge_bundle(
        merchant_id=conversion.merchant_id,
        quantity=1 if conversion.facts is None else conversion.facts.quantity,
        received_at=conversion.first_received_at,
        version=version,
    )


def _click_of(conversion: Conversion) -> Click:
    assert conversion.clicked_at is not None
    assert conversion.offer_id is not None
    return Click(
        flags=ClickFlags(conversion.click_flags),
        clicked_at=conversion.clicked_at,
        nonce=0,
        offer_id=conversion.offer_id,
        affiliate_id=conversion.affiliate_id or 0,
        offer_version=conversion.offer_version or 0,
    )
