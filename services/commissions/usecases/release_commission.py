"""Finance releases what is withheld: a step of its own, between two versions of the conversion."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec

from services.commissions.domain.commission import Standing
from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.domain.postings import Release, apply_release, is_withheld
from services.commissions.storage.commission_store import find_standings, lock_conversions
from services.commissions.storage.release_store import find_conversion_id, find_last_step
from services.commissions.usecases.apply_conversions import credit_version
from services.commissions.usecases.decide_credit import CreditDecisions
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.read_commissions import CommissionNotFound
from services.commissions.usecases.write_posting import AppliedVersion, ConversionVersion, write_posting
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import CONVERSIONS_DECODER
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id
from shared.runtime.database import Session

RELEASES_MAX: Final = 1_000
"""Of one version: far more than anybody needs, and the number has two bytes."""


class NothingWithheld(TributaryError):
    """The commission waits for nobody."""

    code = "nothing_withheld"


class StillHeld(TributaryError):
    """What it was held for is missing still, such as an exchange rate."""

    code = "still_held"


@dataclass(frozen=True, slots=True)
class Released:
    """What stood before a release, and what stands after it."""

    before: Standing
    after: Standing


async def release_commission(
    session: Session,
    commission_id: UUID,
    *,
    offer_versions: OfferVersions,
    actor: str,
    reason_code: str,
    now: datetime,
    rate_days_max: int = RATE_DAYS_MAX,
) -> Released:
    """Post what a cap refused, or what was held and can be priced by now. Decided once, and stored as it was decided.

    actor: `key:<id>`. Locks the conversion, then its caps, then the block. Raises CommissionNotFound, NothingWithheld,
    StillHeld.
    """
    conversion_id = await find_conversion_id(session, commission_id)
    if conversion_id is None:
        raise CommissionNotFound("no such commission")
    await lock_conversions(session, [conversion_id])
    standings, last = await find_standings(session, [conversion_id]), await find_last_step(session, conversion_id)
    before = standings.get(conversion_id)
    if before is None or last is None or last.n >= RELEASES_MAX or not is_withheld(before):
        raise NothingWithheld("nothing of the commission is withheld")
    version = ConversionVersion(CONVERSIONS_DECODER.decode(last.payload), last.payload)
    key = before.attribution[1:]
    known = await offer_versions.find_stored(session, key)
    credit = credit_version(version, known)
    asked = await CreditDecisions.load(
        session, [version], {} if known is None else {key: known}, standings, rate_days_max=rate_days_max
    )
    decisions = asked.release(before, credit, msgspec.json.decode(last.decisions, type=DecisionsV1))
    if decisions.held is not None:
        raise StillHeld(f"it is held still: {decisions.held}")
    number = last.n + 1
    release = Release(derived_id(version.event.event_id, f"release {number}"), number, actor, now, reason_code)
    outcome = apply_release(before, credit, release, decisions)
    after = outcome.standing
    assert after is not None, "a release leaves something standing"
    asked.settle(before, after)
    await asked.save(session)
    priced = None if known is None else known.terms.get(version.event.conversion_event)
    term = None if priced is None else priced.source
    await write_posting(session, [AppliedVersion(version, before, outcome, term, decisions, release)], now=now)
    return Released(before, after)
