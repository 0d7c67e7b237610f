"""What expires by time in every service: dead letters and parked events; and the counts of all that expires.

Limits are in docs/privacy.md. A step removes a bounded batch in the sweep's transaction and says how many; doing it
again does nothing.
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.topics import TOPICS
from shared.kernel.clock import Clock
from shared.runtime.database import Session, sqlstate_of
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter, gauge
from shared.runtime.sweep import Step

BATCH_ROWS: Final = 5_000
"""Rows removed in one transaction: short locks, little to vacuum at a time."""

REPLAYED_LETTERS_KEPT: Final = timedelta(days=7)
"""Long enough to look at what was replayed."""

_LOCK_NOT_AVAILABLE: Final = "55P03"

_removed = counter(
    "retention_removed", unit="records", meaning="Rows removed because their time was over", labels=["what"]
)
_dropped = counter(
    "retention_dropped", unit="partitions", meaning="Months dropped because their time was over", labels=["what"]
)
_postponed = counter(
    "retention_postponed",
    unit="attempts",
    meaning="Months that could not be dropped or made because their table was busy; tried again with the next sweep",
    labels=["what"],
)
_oldest = gauge(
    "retention_oldest_kept", unit="seconds", meaning="Age of the oldest month kept, from its first day", labels=["what"]
)
_log = get_logger(__name__)


def first_with_work(*steps: Step) -> Step:
    """One step of many: the first that finds something to do has the transaction to itself."""

    async def step(session: Session, clock: Clock) -> int:
        for candidate in steps:
            if done := await candidate(session, clock):
                return done
        return 0

    return step


def months_before(instant: datetime, months: int) -> datetime:
    """The same time of day `months` earlier; days past the 28th count as the 28th."""
    index = instant.year * 12 + instant.month - 1 - months
    return instant.replace(year=index // 12, month=index % 12 + 1, day=min(instant.day, 28))


async def forget_letters(session: Session, clock: Clock) -> int:
    """Remove dead letters that were replayed a week ago, and those and parked events their topic no longer keeps.

    Of a topic that is kept for ever nothing is removed unread: it holds money, and nothing personal.
    """
    now = clock.now()
    kept = {topic.name: topic.retention_days for topic in TOPICS.values() if topic.retention_days is not None}
    limits = ([*kept], [now - timedelta(days=days) for days in kept.values()])
    done = await remove(
        session,
        "dead_letters",
        "DELETE FROM dead_letter WHERE id IN (SELECT id FROM dead_letter"
        " LEFT JOIN unnest($1::text[], $2::timestamptz[]) AS kept (topic, since) USING (topic)"
        " WHERE replayed_at < $3 OR failed_at < since LIMIT $4)",
        (*limits, now - REPLAYED_LETTERS_KEPT, BATCH_ROWS),
    )
    return done + await remove(
        session,
        "parked_events",
        "DELETE FROM outbox WHERE id IN (SELECT id FROM outbox JOIN unnest($1::text[], $2::timestamptz[])"
        " AS kept (topic, since) USING (topic) WHERE parked_reason IS NOT NULL AND created_at < since LIMIT $3)",
        (*limits, BATCH_ROWS),
    )


async def remove(session: AsyncSession, what: str, statement: str, values: tuple[object, ...]) -> int:
    """Run a DELETE and count what it removed under `what`."""
    connection = await session.connection()
    removed = (await connection.exec_driver_sql(statement, values)).rowcount
    if removed:
        _removed.labels(what).inc(removed)
    return removed


async def drop_month(session: AsyncSession, what: str, function: str, cutoff: datetime) -> int:
    """Let a service's own function drop its oldest month before `cutoff`: 1 if it did, else 0.

    Such a function waits for its lock half a second at most; a table that stays busy is left to the next sweep.
    """
    name = await _call_unless_busy(session, what, f"SELECT {function}($1)", (cutoff,))
    if name is None:
        return 0
    _dropped.labels(what).inc()
    _log.info("month_dropped", what=what, partition=name)
    return 1


async def make_month(session: AsyncSession, what: str, function: str, instant: datetime) -> None:
    """Let a service's own function make the partition of the month of `instant`, unless its table is busy."""
    await _call_unless_busy(session, what, f"SELECT {function}($1)", (instant,))


async def _call_unless_busy(session: AsyncSession, what: str, statement: str, values: tuple[object, ...]) -> str | None:
    try:
        async with session.begin_nested():
            connection = await session.connection()
            result = await connection.exec_driver_sql(statement, values)
            answer: str | None = result.scalar_one() or None
            return answer
    except DBAPIError as error:
        if sqlstate_of(error) != _LOCK_NOT_AVAILABLE:
            raise
        _postponed.labels(what).inc()
        return None


async def show_oldest_month(session: AsyncSession, table: str, now: datetime) -> None:
    """Publish the age of the oldest monthly partition of `table`."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT min(right(relname, 7)) FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
        " WHERE inhparent = $1::regclass AND relname ~ '_[0-9]{4}_[0-9]{2}$'",
        (table,),
    )
    month = result.scalar_one()
    if month is not None:
        first_day = datetime(int(month[:4]), int(month[5:]), 1, tzinfo=now.tzinfo)
        _oldest.labels(table).set(max(0.0, (now - first_day).total_seconds()))
