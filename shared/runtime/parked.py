"""Parked events: outbox rows that no log could take, kept with their reason until somebody lets them go again."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class ParkedEvent:
    """One of them. overtaken: a later event with its key and topic is in the log already."""

    outbox_id: int
    topic: str
    key: bytes | None
    payload_bytes: int
    created_at: datetime
    reason: str
    overtaken: bool


async def list_parked(session: AsyncSession, *, after_id: int = 0, limit: int = 50) -> Sequence[ParkedEvent]:
    """Parked events, oldest first."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT id, topic, key, octet_length(payload) AS payload_bytes, created_at, parked_reason,"
        " key IS NOT NULL AND EXISTS (SELECT 1 FROM outbox AS later WHERE later.topic = outbox.topic"
        "  AND later.key = outbox.key AND later.id > outbox.id AND later.published_at IS NOT NULL) AS overtaken"
        " FROM outbox WHERE parked_reason IS NOT NULL AND id > $1 ORDER BY id LIMIT $2",
        (after_id, limit),
    )
    return [
        ParkedEvent(row.id, row.topic, row.key, row.payload_bytes, row.created_at, row.parked_reason, row.overtaken)
        for row in result
    ]


async def release_parked(session: AsyncSession, outbox_id: int) -> bool:
    """Let the relay try one again, at its next pass. False when there is no such parked event."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "UPDATE outbox SET parked_reason = NULL WHERE id = $1 AND parked_reason IS NOT NULL AND published_at IS NULL",
        (outbox_id,),
    )
    return result.rowcount == 1
