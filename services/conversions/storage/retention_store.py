"""What expires of conversions: receipts by month; the click index, kept answers and tombstones in small batches."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.kernel.clock import Clock
from shared.runtime import retention
from shared.runtime.database import Session
from shared.runtime.retention import BATCH_ROWS, first_with_work, forget_letters, months_before
from shared.runtime.sweep import Step

KEPT_ANSWERS: Final = timedelta(days=30)
"""The same as the gateway's: what a caller may send again under its Idempotency-Key."""

TOMBSTONES: Final = timedelta(days=400)
"""Longer than any log, dead letter or click index could bring a value back."""

BULK_JOBS: Final = timedelta(days=90)
"""A quarter in which a merchant can look up what became of a row; what it changed stays on the trail for ever."""

MONTHS_AHEAD: Final = 2
"""Months of receipts made in advance: a worker that is away for that long costs nothing."""

_BY_AGE: Final = "DELETE FROM {table} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {table} WHERE {column} < $1 LIMIT $2))"

_OLD_BULK_ROWS: Final = (
    "DELETE FROM bulk_row WHERE ctid = ANY (ARRAY(SELECT bulk_row.ctid FROM bulk_row"
    " JOIN bulk_job ON bulk_job.id = job_id WHERE requested_at < $1 LIMIT $2))"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things are kept. receipt_months counts whole months."""

    receipt_months: int
    click_detail_days: int
    unauthenticated_days: int


def retention_step(limits: Limits) -> Step:
    """Removes what is due, and makes the months of receipts to come."""

    def aged(table: str, column: str, kept: timedelta) -> Step:
        async def step(session: Session, clock: Clock) -> int:
            statement = _BY_AGE.format(table=table, column=column)
            return await retention.remove(session, table, statement, (clock.now() - kept, BATCH_ROWS))

        return step

    async def bulk_rows(session: Session, clock: Clock) -> int:
        return await retention.remove(session, "bulk_row", _OLD_BULK_ROWS, (clock.now() - BULK_JOBS, BATCH_ROWS))

    async def receipts(session: Session, clock: Clock) -> int:
        now = clock.now()
        cutoff = months_before(now, limits.receipt_months)
        await _make_months(session, cutoff)
        dropped = await retention.drop_month(session, "receipt", "drop_receipt_month_before", cutoff)
        await retention.show_oldest_month(session, "receipt", now)
        return dropped

    return first_with_work(
        receipts,
        aged("click_detail", "recorded_at", timedelta(days=limits.click_detail_days)),
        aged("unauthenticated_postback", "received_at", timedelta(days=limits.unauthenticated_days)),
        aged("idempotency_key", "created_at", KEPT_ANSWERS),
        aged("erased_click", "erased_at", TOMBSTONES),
        aged("erased_customer", "erased_at", TOMBSTONES),
        aged("erasure", "requested_at", TOMBSTONES),  # with its tombstone gone, asked again it has to be a new one
        bulk_rows,
        aged("bulk_job", "requested_at", BULK_JOBS),  # behind its rows, of which one may have 40,000
        forget_letters,
    )


async def _make_months(session: Session, cutoff: datetime) -> None:
    """Ids carry the machine's time, so the months to come are the database's, whatever the platform's clock says.

    None that `cutoff` would drop at once: a clock far ahead is a test's.
    """
    connection = await session.connection()
    wanted = await connection.exec_driver_sql(
        "SELECT now() + make_interval(months => n) AS at FROM generate_series(0, $1::int) AS n"
        " WHERE to_regclass('receipt_' || to_char(now() + make_interval(months => n), 'YYYY_MM')) IS NULL"
        " AND date_trunc('month', now() + make_interval(months => n + 1)) > $2",
        (MONTHS_AHEAD, cutoff),
    )
    months = [row.at for row in wanted]
    oldest = await connection.exec_driver_sql(
        "SELECT id FROM receipt WHERE tableoid = 'receipt_other'::regclass ORDER BY id LIMIT 1"
    )
    stray = oldest.scalar_one_or_none()
    if stray is not None:  # from before the partitions, or from a month nobody had made yet
        months.append(datetime.fromtimestamp(int.from_bytes(stray.bytes[:6]) / 1000, tz=UTC))
    for month in months:
        await retention.make_month(session, "receipt", "ensure_receipt_month", month)
