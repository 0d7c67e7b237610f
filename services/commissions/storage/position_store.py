"""What may be exchanged, and what stands on `fx_exchange`, as sums of ledger entries."""

from datetime import datetime
from typing import Final

from shared.kernel.period import Period
from shared.runtime.database import Session

_REVALUATION_LOCK: Final = 0x7472_6962_7265_766C
"""One revaluation at a time: each begins where the one before ended."""


async def due_payable(session: Session, affiliate_id: int, *, currency: str, now: datetime) -> int:
    """What is payable to an affiliate by `now`, and no more than it is owed in all; negative: it owes."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT least(coalesce(-sum(amount_minor) FILTER (WHERE payable_at IS NULL OR payable_at <= $3), 0),"
        " coalesce(-sum(amount_minor), 0)) AS due FROM ledger_entry"
        " WHERE affiliate_id = $1 AND currency = $2::char(3) AND account = 'affiliate_payable:' || $1::int",
        (affiliate_id, currency, now),
    )
    return int(result.scalar_one())


async def lock_revaluations(session: Session) -> None:
    """Be the only one that revalues until the transaction ends."""
    connection = await session.connection()
    await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_REVALUATION_LOCK,))


async def find_last_revaluation(session: Session) -> str | None:
    """The last period that was revalued, as `YYYY-MM`."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT max(inputs ->> 'period') AS period FROM finance_act WHERE kind = 'revaluation'"
    )
    period: str | None = result.scalar_one()
    return period


async def find_positions(session: Session, period: Period) -> dict[str, int]:
    """What stood on `fx_exchange` at the end of `period`, by currency, with every revaluation posted so far.

    A revaluation is booked after the period that it is of: taken by its booking it would be missing from the next.
    """
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT e.currency::text AS currency, sum(e.amount_minor) AS amount FROM ledger_entry AS e"
        " JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)"
        " WHERE e.account = 'fx_exchange' AND (t.kind = 'revaluation' OR block.booked_at < $1)"
        " GROUP BY 1 HAVING sum(e.amount_minor) <> 0 ORDER BY 1",
        (period.end,),
    )
    return {row.currency: int(row.amount) for row in result}
