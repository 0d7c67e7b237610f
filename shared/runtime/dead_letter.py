"""Dead letters: events that a consumer could never handle, kept with their reason, to be replayed once they can be."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from shared.runtime.event_log.interface import Received


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event set aside. replayed_at: when it was handled after all, or closed by hand; replay_requested_at: when a
    replay was asked for."""

    dead_letter_id: int
    consumer: str
    received: Received
    reason: str
    failed_at: datetime
    replay_requested_at: datetime | None
    replayed_at: datetime | None


_COLUMNS = 'id, consumer, topic, partition, "offset", key, payload, reason, failed_at, replay_requested_at, replayed_at'


def _from_row(row: Sequence[object]) -> DeadLetter:
    dead_letter_id, consumer, topic, partition, offset, key, payload, *rest = row
    received = Received(topic, partition, offset, key, payload)  # type: ignore[arg-type]
    return DeadLetter(dead_letter_id, consumer, received, *rest)  # type: ignore[arg-type]


async def list_dead_letters(
    session: AsyncSession, *, consumer: str | None = None, after_id: int = 0, limit: int = 50
) -> list[DeadLetter]:
    """Dead letters not replayed yet, oldest first, of one consumer or of all."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM dead_letter WHERE replayed_at IS NULL"  # noqa: S608 (constant columns)
        " AND ($1::text IS NULL OR consumer = $1) AND id > $2 ORDER BY id LIMIT $3",
        (consumer, after_id, limit),
    )
    return [_from_row(tuple(row)) for row in result]


async def request_replay(session: AsyncSession, dead_letter_id: int, *, now: datetime) -> bool:
    """Ask the owning consumer to handle the event again; it does so within a second or two.

    False when there is no such dead letter, or it was replayed already.
    """
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "UPDATE dead_letter SET replay_requested_at = $2 WHERE id = $1 AND replayed_at IS NULL", (dead_letter_id, now)
    )
    return result.rowcount == 1


async def close_dead_letter(session: AsyncSession, dead_letter_id: int, *, because: str, now: datetime) -> bool:
    """Give an event up for good: it counts no more, and its row stays, with `because` before its reason.

    False when there is no such open dead letter. For the `_worker` role.
    """
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "UPDATE dead_letter SET replayed_at = $2, replay_requested_at = NULL,"
        " reason = left('closed by hand: ' || $3::text || '; was: ' || reason, 1000)"
        " WHERE id = $1 AND replayed_at IS NULL",
        (dead_letter_id, now, because),
    )
    return result.rowcount == 1


async def set_aside(session: AsyncSession, *, consumer: str, received: Received, reason: str, now: datetime) -> None:
    """Write the dead letter of `received`, in the transaction that moves the consumer's position past it."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        'INSERT INTO dead_letter (consumer, topic, partition, "offset", key, payload, reason, failed_at)'
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        (
            consumer,
            received.topic,
            received.partition,
            received.offset,
            received.key,
            received.payload,
            reason,
            now,
        ),
    )


async def count_open(session: AsyncSession, consumer: str) -> int:
    """How many dead letters of `consumer` wait to be replayed."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT count(*) FROM dead_letter WHERE consumer = $1 AND replayed_at IS NULL", (consumer,)
    )
    return int(result.scalar_one())


async def take_requested(session: AsyncSession, consumer: str) -> DeadLetter | None:
    """The oldest dead letter of `consumer` whose replay was asked for, locked; None when there is none."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM dead_letter WHERE consumer = $1 AND replayed_at IS NULL"  # noqa: S608
        " AND replay_requested_at IS NOT NULL ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED",
        (consumer,),
    )
    row = result.one_or_none()
    return None if row is None else _from_row(tuple(row))


async def mark_replayed(session: AsyncSession, dead_letter_id: int, *, now: datetime) -> None:
    """Say that the event was handled, in the transaction that handled it."""
    connection = await session.connection()
    await connection.exec_driver_sql("UPDATE dead_letter SET replayed_at = $2 WHERE id = $1", (dead_letter_id, now))


async def mark_failed_again(session: AsyncSession, dead_letter_id: int, *, reason: str, now: datetime) -> None:
    """Say that the replay failed as well; the letter stays open and waits for another request."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE dead_letter SET replay_requested_at = NULL, reason = $2, failed_at = $3 WHERE id = $1",
        (dead_letter_id, reason, now),
    )
