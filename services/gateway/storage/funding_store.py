"""What commissions last said of merchants' prepaid balances, and the offers that are paused for it."""

from dataclasses import dataclass
from datetime import datetime

from services.gateway.storage.session import execute, fetch_all, fetch_one
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingState:
    """One balance. is_unfunded: exhausted, and its merchant wants offers paused then. version: counts up."""

    merchant_id: int
    currency: str
    is_unfunded: bool
    version: int


async def save_funding(session: Session, state: FundingState) -> bool:
    """Keep `state`; False where a newer one, or this very one, is known."""
    changed = await execute(
        session,
        "INSERT INTO merchant_funding (merchant_id, currency, is_unfunded, version) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (merchant_id, currency) DO UPDATE SET is_unfunded = excluded.is_unfunded,"
        " version = excluded.version WHERE merchant_funding.version < excluded.version",
        state.merchant_id,
        state.currency,
        state.is_unfunded,
        state.version,
    )
    return changed > 0


async def is_unfunded(session: Session, merchant_id: int) -> bool:
    """True while any balance of the merchant pauses its offers."""
    row = await fetch_one(
        session,
        "SELECT EXISTS (SELECT FROM merchant_funding WHERE merchant_id = $1 AND is_unfunded) AS found",
        merchant_id,
    )
    return row is not None and bool(row.found)


async def list_active_offers(session: Session, merchant_id: int) -> list[int]:
    """Ids of the merchant's active offers, ascending: the order in which they are locked."""
    rows = await fetch_all(
        session,
        "SELECT offer_id FROM offer WHERE merchant_id = $1 AND status = 'active' ORDER BY offer_id",
        merchant_id,
    )
    return [row.offer_id for row in rows]


async def list_paused_offers(session: Session, merchant_id: int) -> list[tuple[int, str]]:
    """The merchant's offers that were paused for its balance, ascending, each with its status now."""
    rows = await fetch_all(
        session,
        "SELECT offer_id, offer.status FROM funding_pause JOIN offer USING (offer_id)"
        " WHERE merchant_id = $1 ORDER BY offer_id",
        merchant_id,
    )
    return [(row.offer_id, row.status) for row in rows]


async def remember_pause(session: Session, offer_id: int, *, now: datetime) -> None:
    """The offer is paused for its merchant's balance."""
    await execute(
        session,
        "INSERT INTO funding_pause (offer_id, paused_at) VALUES ($1, $2) ON CONFLICT (offer_id) DO NOTHING",
        offer_id,
        now,
    )


async def forget_pause(session: Session, offer_id: int) -> None:
    """It is not any more."""
    await execute(session, "DELETE FROM funding_pause WHERE offer_id = $1", offer_id)
