"""Sums of one party's entries as they stand now."""

from datetime import datetime

from services.commissions.domain.statement import Party, StandingSum
from shared.runtime.database import Session


async def sum_standing(session: Session, party: Party, *, now: datetime) -> tuple[list[StandingSum], int]:
    """The party's sums by currency, account kind and whether they are due at `now`; and the block they stand at.

    One kind more, `paid`: what left an affiliate's payable account as payouts and did not come back, as a credit.
    """
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "WITH head AS (SELECT coalesce(max(number), 0) AS number FROM block)"
        " SELECT head.number, sums.* FROM head LEFT JOIN ("
        "   SELECT currency, split_part(account, ':', 1) AS account_kind,"
        "     (payable_at IS NULL OR payable_at <= $3) AS is_due, sum(amount_minor) AS amount_minor"
        "   FROM ledger_entry WHERE (merchant_id = $1::int OR affiliate_id = $2::int)"
        "   GROUP BY 1, 2, 3 UNION ALL"
        "   SELECT e.currency, 'paid', true, -sum(e.amount_minor) FROM ledger_entry AS e"
        "     JOIN ledger_transaction AS t USING (transaction_id)"
        "   WHERE e.affiliate_id = $2::int AND e.payable_at IS NULL AND t.kind IN ('payout', 'payout_return')"
        "     AND e.account = 'affiliate_payable:' || $2::int GROUP BY 1) AS sums ON true",
        (party.merchant_id, party.affiliate_id, now),
    )
    rows = result.all()
    sums = [
        StandingSum(row.currency, row.account_kind, row.is_due, int(row.amount_minor))
        for row in rows
        if row.currency is not None
    ]
    return sums, rows[0].number
