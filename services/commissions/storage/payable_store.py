"""What stands on affiliates' payable accounts: what a run may pay, what is owed for too long, what a payout covers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from shared.runtime.database import Session

_NEGATIVE_SINCE: Final = """
    WITH owing AS (
        SELECT affiliate_id, currency FROM ledger_entry
        WHERE affiliate_id = ANY ($1::int[]) AND account = 'affiliate_payable:' || affiliate_id
        GROUP BY affiliate_id, currency HAVING sum(amount_minor) > 0
    ), moved AS (
        SELECT e.affiliate_id, e.currency, block.number, block.booked_at, sum(e.amount_minor) AS amount
        FROM owing JOIN ledger_entry AS e USING (affiliate_id, currency)
            JOIN ledger_transaction USING (transaction_id) JOIN block USING (posting_id)
        WHERE e.account = 'affiliate_payable:' || e.affiliate_id GROUP BY 1, 2, 3, 4
    ), running AS (
        SELECT *, sum(amount) OVER (PARTITION BY affiliate_id, currency ORDER BY number) AS owed FROM moved
    ), settled AS (
        SELECT affiliate_id, currency, max(number) AS number FROM running WHERE owed <= 0 GROUP BY 1, 2
    )
    SELECT running.affiliate_id, min(running.booked_at) AS since
    FROM running LEFT JOIN settled USING (affiliate_id, currency)
    WHERE running.number > coalesce(settled.number, 0) GROUP BY running.affiliate_id
"""
_COVERED: Final = """
    INSERT INTO payout_part (run_id, affiliate_id, commission_id, amount_minor)
    WITH line AS (
        SELECT * FROM unnest($2::int[], $3::timestamptz[], $4::bigint[]) AS line (affiliate_id, due_before, left_minor)
    ), open AS (
        SELECT c.affiliate_id, c.commission_id, c.payable_at, line.left_minor,
            c.commission_minor - coalesce((
                SELECT sum(part.amount_minor) FROM payout_part AS part JOIN payout_line AS paid
                    USING (run_id, affiliate_id)
                WHERE part.commission_id = c.commission_id AND paid.state IN ('exported', 'settled')), 0) AS unpaid
        FROM line JOIN commission AS c USING (affiliate_id)
        WHERE c.status = 'approved' AND c.currency = $5::char(3)
            AND (c.payable_at IS NULL OR c.payable_at < line.due_before)
    ), queue AS (
        SELECT *, sum(unpaid) OVER (PARTITION BY affiliate_id ORDER BY payable_at NULLS FIRST, commission_id) AS until,
            sum(unpaid) OVER (PARTITION BY affiliate_id) AS total
        FROM open WHERE unpaid > 0
    )
    SELECT $1::uuid, affiliate_id, commission_id, unpaid FROM queue WHERE until <= total - left_minor
"""


@dataclass(frozen=True, slots=True)
class PayableSums:
    """Of one affiliate in one currency, positive where it is owed to it."""

    due_minor: int
    balance_minor: int


async def find_payable_balances(session: Session, *, currency: str, block_number: int) -> dict[int, int]:
    """What is payable to each affiliate at the block, due or not, where that is not zero; negative: it owes."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT e.affiliate_id, -sum(e.amount_minor) AS balance FROM ledger_entry AS e"
        " JOIN ledger_transaction USING (transaction_id) JOIN block USING (posting_id)"
        " WHERE e.affiliate_id IS NOT NULL AND e.account = 'affiliate_payable:' || e.affiliate_id"
        " AND e.currency = $1::char(3) AND block.number <= $2"
        " GROUP BY e.affiliate_id HAVING sum(e.amount_minor) <> 0 ORDER BY e.affiliate_id",
        (currency, block_number),
    )
    return {row.affiliate_id: int(row.balance) for row in result}


async def sum_payables(
    session: Session, due_before: Mapping[int, datetime], *, currency: str, block_number: int | None
) -> dict[int, PayableSums]:
    """What is payable to these affiliates, each with its own limit of what is due. block_number: None for now."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT wanted.affiliate_id, coalesce(-sum(e.amount_minor), 0) AS balance, coalesce(-sum(e.amount_minor)"
        "   FILTER (WHERE e.payable_at IS NULL OR e.payable_at < wanted.due_before), 0) AS due"
        " FROM unnest($1::int[], $2::timestamptz[]) AS wanted (affiliate_id, due_before)"
        " LEFT JOIN ledger_entry AS e ON e.affiliate_id = wanted.affiliate_id AND e.currency = $3::char(3)"
        "   AND e.account = 'affiliate_payable:' || e.affiliate_id"
        "   AND ($4::bigint IS NULL OR EXISTS (SELECT 1 FROM ledger_transaction AS t JOIN block USING (posting_id)"
        "     WHERE t.transaction_id = e.transaction_id AND block.number <= $4))"
        " GROUP BY wanted.affiliate_id",
        (list(due_before), list(due_before.values()), currency, block_number),
    )
    return {row.affiliate_id: PayableSums(int(row.due), int(row.balance)) for row in result}


async def find_negative_since(session: Session, affiliate_ids: Sequence[int]) -> dict[int, datetime]:
    """Since when the oldest negative balance of each affiliate stands, in any currency; those without are left out."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(_NEGATIVE_SINCE, (list(affiliate_ids),))
    return {row.affiliate_id: row.since for row in result}


async def find_paid_on(session: Session, affiliate_ids: Sequence[int]) -> dict[int, date]:
    """The day of each affiliate's last payout that was not lost on its way."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT affiliate_id, max(up_to) AS paid_on FROM payout_line"
        " WHERE affiliate_id = ANY ($1::int[]) AND state IN ('exported', 'settled') GROUP BY affiliate_id",
        (list(affiliate_ids),),
    )
    return {row.affiliate_id: row.paid_on for row in result}


async def insert_covered_commissions(
    session: Session, run_id: UUID, *, currency: str, left: Mapping[int, tuple[datetime, int]]
) -> None:
    """Note which commissions a run pays. left: by affiliate, the limit of what is due, and what of that stays unpaid.

    The oldest payable first; a commission that the payout covers only in part stays payable. Debts and bonuses are
    netted by the balance itself: where nothing stays unpaid, every due commission is paid.
    """
    connection = await session.connection()
    await connection.exec_driver_sql(
        _COVERED,
        (
            run_id,
            list(left),
            [before for before, _ in left.values()],
            [minor for _, minor in left.values()],
            currency,
        ),
    )
