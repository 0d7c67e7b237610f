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
    """An applied version: the event's bytes and the decisions (JSON), which are its inputs, and what it posted.

    n: 0, or from 1 where finance released after it; event_id, actor, occurred_at and reason_code are then its.
    """

    conversion_id: UUID
    version: int
    payload: bytes
    decisions: bytes
    n: int
    event_id: UUID
    actor: str | None
    occurred_at: datetime
    reason_code: str | None
    posted: tuple[PostedTransaction, ...]


_STEPS: Final = text(
    """
    SELECT s.conversion_id, s.version, s.payload, s.decisions::text AS decisions, s.n,
        s.event_id, s.actor, s.occurred_at AS step_at, s.reason_code,
        t.transaction_id, t.kind, t.occurred_at,
        array_agg(e.account ORDER BY e.n) AS accounts, array_agg(e.currency::text ORDER BY e.n) AS currencies,
        array_agg(e.amount_minor ORDER BY e.n) AS amounts, array_agg(e.payable_at ORDER BY e.n) AS payables
    FROM commission_step AS s
        LEFT JOIN ledger_transaction AS t
            ON t.conversion_id = s.conversion_id AND t.conversion_version = s.version
            AND t.transaction_id = ANY (s.transaction_ids)
            AND t.kind IN ('accrual', 'approval', 'adjustment', 'reversal')
        LEFT JOIN ledger_entry AS e USING (transaction_id)
    GROUP BY s.conversion_id, s.version, s.n, t.transaction_id
    ORDER BY s.conversion_id, s.version, s.n, t.transaction_id
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
        if step is not None and (step.conversion_id, step.version, step.n) == (row.conversion_id, row.version, row.n):
            step = replace(step, posted=(*step.posted, *posted_of(row)))
            continue
        if step is not None:
            yield step
        step = RecordedStep(
            conversion_id=row.conversion_id,
            version=row.version,
            payload=row.payload,
            decisions=row.decisions.encode(),
            n=row.n,
            event_id=row.event_id,
            actor=row.actor,
            occurred_at=row.step_at,
            reason_code=row.reason_code,
            posted=posted_of(row),
        )
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
        "  WHERE s.conversion_id = t.conversion_id AND s.version = t.conversion_version"
        "  AND t.transaction_id = ANY (s.transaction_ids))"
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
