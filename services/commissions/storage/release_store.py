"""What a release starts from: a commission's conversion, and the last step that was applied to it."""

from dataclasses import dataclass
from uuid import UUID

from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class LastStep:
    """The conversion's last applied version, or the last release after it (n from 1). decisions: JSON."""

    version: int
    n: int
    payload: bytes
    decisions: bytes


async def find_conversion_id(session: Session, commission_id: UUID) -> UUID | None:
    """The conversion of a commission; None where there is none."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT conversion_id FROM commission WHERE commission_id = $1", (commission_id,)
    )
    found: UUID | None = result.scalar_one_or_none()
    return found


async def find_last_step(session: Session, conversion_id: UUID) -> LastStep | None:
    """The last step of a conversion, whose row must be locked."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT version, n, payload, decisions::text AS decisions FROM commission_step WHERE conversion_id = $1"
        " ORDER BY version DESC, n DESC LIMIT 1",
        (conversion_id,),
    )
    row = result.one_or_none()
    return None if row is None else LastStep(row.version, row.n, row.payload, row.decisions.encode())
