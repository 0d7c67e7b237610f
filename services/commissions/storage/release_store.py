"""What a release starts from: which commissions are withheld, and the last step that was applied to each."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class LastStep:
    """A conversion's last applied version, or the last release after it (n from 1). decisions: JSON."""

    conversion_id: UUID
    version: int
    n: int
    payload: bytes
    decisions: bytes


@dataclass(frozen=True, slots=True)
class WithheldFilter:
    """Which withheld commissions. status: `over_cap` or `held`. Half-open `[from_at, to_at)` on recorded_at."""

    status: str
    offer_id: int
    affiliate_id: int | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None


async def find_conversion_id(session: Session, commission_id: UUID) -> UUID | None:
    """The conversion of a commission; None where there is none."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT conversion_id FROM commission WHERE commission_id = $1", (commission_id,)
    )
    found: UUID | None = result.scalar_one_or_none()
    return found


async def find_withheld(session: Session, wanted: WithheldFilter, *, limit: int) -> dict[UUID, UUID]:
    """Conversions of at most `limit` withheld commissions, by commission, first recorded first."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT commission_id, conversion_id FROM commission WHERE status = $1 AND offer_id = $2"
        " AND status IN ('over_cap', 'held') AND ($3::int IS NULL OR affiliate_id = $3)"
        " AND ($4::timestamptz IS NULL OR recorded_at >= $4) AND ($5::timestamptz IS NULL OR recorded_at < $5)"
        " ORDER BY recorded_at, commission_id LIMIT $6",
        (wanted.status, wanted.offer_id, wanted.affiliate_id, wanted.from_at, wanted.to_at, limit),
    )
    return {row.commission_id: row.conversion_id for row in result}


async def find_last_steps(session: Session, conversion_ids: Sequence[UUID]) -> list[LastStep]:
    """The last step of each conversion, whose rows must be locked; of the commission first recorded first."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT last.conversion_id, last.version, last.n, last.payload, last.decisions::text AS decisions"
        " FROM commission JOIN LATERAL ("
        "   SELECT * FROM commission_step WHERE conversion_id = commission.conversion_id"
        "   ORDER BY version DESC, n DESC LIMIT 1"
        " ) AS last ON true WHERE commission.conversion_id = ANY ($1::uuid[])"
        " ORDER BY commission.recorded_at, commission.commission_id",
        (list(conversion_ids),),
    )
    return [LastStep(row.conversion_id, row.version, row.n, row.payload, row.decisions.encode()) for row in result]
