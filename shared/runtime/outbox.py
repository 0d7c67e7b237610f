"""The outbox: events that commit with the effect they tell of. The relay takes them from there to the log."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """One event on its way out. key: what orders it within its topic; None: unordered. payload: the encoded event."""

    topic: str
    key: bytes | None
    event_id: UUID
    payload: bytes


INSERT_EVENTS: Final = (
    "INSERT INTO outbox (topic, key, event_id, payload)"
    " SELECT * FROM unnest($1::text[], $2::bytea[], $3::uuid[], $4::bytea[])"
)


def columns_of(events: Sequence[OutgoingEvent]) -> tuple[list[object], ...]:
    """The parameters of INSERT_EVENTS."""
    return (
        [event.topic for event in events],
        [event.key for event in events],
        [event.event_id for event in events],
        [event.payload for event in events],
    )


async def append(session: AsyncSession, events: Sequence[OutgoingEvent]) -> None:
    """Add events to the outbox inside the caller's transaction, in order, in one statement.

    Append an aggregate's events while holding its row lock: the outbox's id order is then the aggregate's order.
    """
    if not events:
        return
    connection = await session.connection()
    await connection.exec_driver_sql(INSERT_EVENTS, columns_of(events))
