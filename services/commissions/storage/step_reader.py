"""What the verifier reads besides the ledger: applied versions with their bytes, and closed periods."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from shared.runtime.database import Session

STEPS_AT_ONCE: Final = 2_000


@dataclass(frozen=True, slots=True)
class PostedEntry:
    """One stored entry of a transaction, as a repricing must give it again."""

    account: str
    currency: str
    amount_minor: int
    payable_at: datetime | None


@dataclass(frozen=True, slots=True)
class PostedTransaction:
    """One stored transaction of an applied version."""

    transaction_id: UUID
    kind: str
    occurred_at: datetime
    entries: tuple[PostedEntry, ...]


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """An applied version: the event's bytes and the decisions (JSON), which are its inputs, and what it posted."""

    conversion_id: UUID
    version: int
    payload: bytes
    decisions: bytes
    posted: tuple[PostedTransaction, ...]


_STEPS: Final = text(
    """
    SELECT s.conversion_id, s.version, s.payload, s.decisions::text AS decisions,
        t.transaction_id, t.kind, t.occurred_at,
        array_agg(e.account ORDER BY e.n) AS accounts, array_agg(e.currency::text ORDER BY e.n) AS currencies,
        array_agg(e.amount_minor ORDER BY e.n) AS amounts, array_agg(e.payable_at ORDER BY e.n) AS payables
    FROM commission_step AS s
        LEFT JOIN ledger_transaction AS t
            ON t.conversion_id = s.conversion_id AND t.conversion_version = s.version
            AND t.kind IN ('accrual', 'approval', 'adjustment', 'reversal')
        LEFT JOIN ledger_entry AS e USING (transaction_id)
    GROUP BY s.conversion_id, s.version, t.transaction_id
    ORDER BY s.conversion_id, s.version, t.transaction_id
    """
)


async def count_steps(session: Session) -> int:
    """How many applied versions there are."""
    connection = await session.connection()
    count: int = (await connection.exec_driver_sql("SELECT count(*) FROM commission_step")).scalar_one()
    return count


async def stream_steps(session: Session) -> AsyncIterator[RecordedStep]:
    """Every applied version, by conversion and in order, with the transactions that name it."""
    result = await session.stream(_STEPS, execution_options={"yield_per": STEPS_AT_ONCE})
    step: RecordedStep | None = None
    async for row in result:
        if step is not None and (step.conversion_id, step.version) == (row.conversion_id, row.version):
            step = replace(step, posted=(*step.posted, *posted_of(row)))
            continue
        if step is not None:
            yield step
        step = RecordedStep(row.conversion_id, row.version, row.payload, row.decisions.encode(), posted_of(row))
    if step is not None:
        yield step


def posted_of(row: Any) -> tuple[PostedTransaction, ...]:
    """The transaction of a joined row, with its entries; none where nothing was posted."""
    if row.transaction_id is None:
        return ()
    columns = zip(row.accounts, row.currencies, row.amounts, row.payables, strict=True)
    entries = tuple(PostedEntry(*column) for column in columns)
    return (PostedTransaction(row.transaction_id, row.kind, row.occurred_at, entries),)


async def find_transaction_without_step(session: Session) -> UUID | None:
    """A transaction of a conversion's version that was never applied; None where all is well."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT transaction_id FROM ledger_transaction AS t"
        " WHERE kind IN ('accrual', 'approval', 'adjustment', 'reversal') AND NOT EXISTS"
        " (SELECT 1 FROM commission_step AS s"
        "  WHERE s.conversion_id = t.conversion_id AND s.version = t.conversion_version)"
        " ORDER BY transaction_id LIMIT 1"
    )
    found: UUID | None = result.scalar_one_or_none()
    return found


async def find_misplaced_close(session: Session) -> str | None:
    """A closed period whose block is not the last one booked before its end; None where all is well."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT period FROM period_close AS c WHERE block_number <> coalesce((SELECT max(number) FROM block"
        " WHERE booked_at < ((c.period || '-01')::timestamp + interval '1 month') AT TIME ZONE 'UTC'), 0)"
        " ORDER BY period LIMIT 1"
    )
    found: str | None = result.scalar_one_or_none()
    return found
