"""Read commissions, and why each is what it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.commissions.domain.pricing import Explanation
from services.commissions.storage.commission_reader import (
    CommissionFilter,
    StoredCommission,
    StoredPosting,
    StoredStep,
    find_postings,
    find_steps,
    find_stored,
    list_stored,
)
from services.commissions.usecases.explain_price import explain_step
from shared.kernel.errors import TributaryError
from shared.runtime.database import Session


class CommissionNotFound(TributaryError):
    """There is no such commission, or it is not the caller's."""

    code = "commission_not_found"


@dataclass(frozen=True, slots=True)
class Trail:
    """A commission with every version that was applied, and every ledger transaction that the reader may see.

    prices: how each step's price came about, in the order of steps; None for one that credits nobody.
    """

    commission: StoredCommission
    steps: Sequence[StoredStep]
    prices: Sequence[Explanation | None]
    postings: Sequence[StoredPosting]


async def list_commissions(
    session: Session, wanted: CommissionFilter, *, now: datetime, limit: int
) -> list[StoredCommission]:
    """At most `limit` + 1, newest first."""
    return await list_stored(session, wanted, now=now, limit=limit + 1)


async def read_commission(
    session: Session, commission_id: UUID, *, merchant_id: int | None = None, affiliate_id: int | None = None
) -> StoredCommission:
    """One commission, of that tenant if one is given. Raises CommissionNotFound."""
    found = await find_stored(session, commission_id)
    if found is None or merchant_id not in (None, found.merchant_id) or affiliate_id not in (None, found.affiliate_id):
        raise CommissionNotFound("there is no such commission")
    return found


async def read_trail(
    session: Session, commission_id: UUID, *, merchant_id: int | None = None, affiliate_id: int | None = None
) -> Trail:
    """One commission and how it came to be. Raises CommissionNotFound."""
    found = await read_commission(session, commission_id, merchant_id=merchant_id, affiliate_id=affiliate_id)
    steps = await find_steps(session, found.conversion_id)
    prices = [explain_step(found, step) for step in steps]
    return Trail(found, steps, prices, await find_postings(session, found.commission_id))
