"""Decide conversions that waited for their offer version, as of their first receipt."""

from typing import Final

from services.conversions.domain.attribution import attribute
from services.conversions.domain.catalogue import Catalogue
from services.conversions.domain.conversion import Actor, Change, Conversion, next_version, with_verdict
from services.conversions.domain.reason_codes import ReasonCode
from services.conversions.domain.transitions import Status
from services.conversions.storage.conversion_store import find_offer_version_payloads, lock_ready_waiting
from services.conversions.usecases.learn_catalogue import learn_catalogue
from services.conversions.usecases.record_changes import record_changes
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
    changes = [change for c in waiting if (change := _decide(c, catalogue, clock)) is not None]
    await record_changes(session, changes)
    return len(changes)


def _decide(conversion: Conversion, catalogue: Catalogue, clock: Clock) -> Change | None:
    version = catalogue.find_version(conversion.offer_id or 0, conversion.offer_version or 0)
    verdict = attribute(conversion.reported, _click_of(conversion), version)
    if verdict.status is Status.WAITING:
        return None
    after = with_verdict(next_version(conversion, clock.now()), verdict)
    return Change(after, "attributed", _RULE, ReasonCode.OFFER_VERSION_ARRIVED.value, steps=verdict.steps)


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
