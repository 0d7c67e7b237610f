"""Finance acts in PostgreSQL: stored with what they posted, and never changed."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import text

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.storage.step_reader import PostedTransaction, posted_of
from shared.runtime.database import Session

ACTS_AT_ONCE: Final = 500

_INSERT: Final = """
    INSERT INTO finance_act (act_id, kind, inputs, actor, occurred_at, reason_code, transaction_ids)
    SELECT act_id, kind, inputs::jsonb, actor, occurred_at, reason_code, transaction_ids::uuid[]
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[], $7::text[])
        AS new (act_id, kind, inputs, actor, occurred_at, reason_code, transaction_ids)
"""
_ACTS: Final = text(
    """
    SELECT a.act_id, a.kind AS act_kind, a.inputs::text AS inputs, a.actor, a.occurred_at AS acted_at, a.reason_code,
        t.transaction_id, t.kind, t.occurred_at,
        array_agg(e.account ORDER BY e.n) AS accounts, array_agg(e.currency::text ORDER BY e.n) AS currencies,
        array_agg(e.amount_minor ORDER BY e.n) AS amounts, array_agg(e.payable_at ORDER BY e.n) AS payables
    FROM finance_act AS a
        LEFT JOIN LATERAL unnest(a.transaction_ids) AS of (id) ON true
        LEFT JOIN ledger_transaction AS t ON t.transaction_id = of.id
        LEFT JOIN ledger_entry AS e USING (transaction_id)
    GROUP BY a.act_id, t.transaction_id
    ORDER BY a.act_id, t.transaction_id
    """
)


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """An act and what the ledger holds of it."""

    act: FinanceAct
    posted: tuple[PostedTransaction, ...]


async def insert_acts(session: Session, pairs: Sequence[tuple[FinanceAct, Sequence[UUID]]]) -> None:
    """Write acts, each with the ids of its transactions. An act that is known already violates its key."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        _INSERT,
        (
            [act.act_id for act, _ in pairs],
            [act.kind for act, _ in pairs],
            [msgspec.json.encode(act.inputs, order="sorted").decode() for act, _ in pairs],
            [act.actor for act, _ in pairs],
            [act.occurred_at for act, _ in pairs],
            [act.reason_code for act, _ in pairs],
            [f"{{{','.join(map(str, ids))}}}" for _, ids in pairs],
        ),
    )


async def count_acts(session: Session) -> int:
    """How many acts there are."""
    connection = await session.connection()
    count: int = (await connection.exec_driver_sql("SELECT count(*) FROM finance_act")).scalar_one()
    return count


async def stream_acts(session: Session) -> AsyncIterator[RecordedAct]:
    """Every act with its transactions, in bounded memory."""
    result = await session.stream(_ACTS, execution_options={"yield_per": ACTS_AT_ONCE})
    recorded: RecordedAct | None = None
    async for row in result:
        if recorded is not None and recorded.act.act_id == row.act_id:
            recorded = RecordedAct(recorded.act, (*recorded.posted, *posted_of(row)))
            continue
        if recorded is not None:
            yield recorded
        act = FinanceAct(
            row.act_id, row.act_kind, msgspec.json.decode(row.inputs), row.actor, row.acted_at, row.reason_code
        )
        recorded = RecordedAct(act, posted_of(row))
    if recorded is not None:
        yield recorded


async def find_transaction_without_act(session: Session, conversion_kinds: Sequence[str]) -> UUID | None:
    """A transaction that neither a conversion's version nor an act accounts for; None where all is well."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT transaction_id FROM ledger_transaction WHERE kind <> ALL ($1::text[])"
        " EXCEPT SELECT unnest(transaction_ids) FROM finance_act ORDER BY 1 LIMIT 1",
        (list(conversion_kinds),),
    )
    found: UUID | None = result.scalar_one_or_none()
    return found
