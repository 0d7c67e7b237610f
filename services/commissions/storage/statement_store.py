"""What statements are made of: the cut, sums before and inside a period, and the lines, read as a stream."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import text

from services.commissions.domain.ledger import GENESIS_HASH
from services.commissions.domain.statement import Cut, Movement, Party, StatementLine
from services.commissions.domain.statement_document import KIND_ORDER
from shared.contracts.commissions import RateUsedV1
from shared.kernel.period import Period, parse_period
from shared.runtime.database import Session

LINES_AT_ONCE: Final = 1_000
"""Lines in memory while a statement is streamed."""

_LINES: Final = """
    SELECT block.number, block.booked_at, t.transaction_id, t.occurred_at, t.kind, t.offer_id, t.commission_id,
        t.conversion_id, t.reason_code, array_agg(split_part(e.account, ':', 1) ORDER BY e.n) AS account_kinds,
        array_agg(e.amount_minor ORDER BY e.n) AS amounts_minor,
        (SELECT decisions -> 'rate' FROM commission_step AS step WHERE step.conversion_id = t.conversion_id
            AND step.version = t.conversion_version AND t.transaction_id = ANY (step.transaction_ids))::text AS rate
    FROM ledger_entry AS e JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)
    WHERE (e.merchant_id = CAST(:merchant_id AS int) OR e.affiliate_id = CAST(:affiliate_id AS int))
        AND e.currency = CAST(:currency AS char(3))
        AND block.number > CAST(:after AS bigint) AND block.number <= CAST(:until AS bigint)
        AND split_part(e.account, ':', 1) = ANY (CAST(:account_kinds AS text[]))
    GROUP BY block.number, block.booked_at, t.transaction_id
    ORDER BY {groups} block.number, t.occurred_at, coalesce(t.conversion_version, 0), t.kind, t.transaction_id
"""
_BOOKED_LINES: Final = text(_LINES.format(groups=""))
_GROUPED_LINES: Final = text(
    _LINES.format(
        groups="t.offer_id NULLS LAST, CASE WHEN t.offer_id IS NULL THEN"
        " coalesce(array_position(CAST(:kinds AS text[]), t.kind), 1000) END,"
        ' CASE WHEN t.offer_id IS NULL THEN t.kind END COLLATE "C",'
    )
)
_LIST: Final = """
    WITH moved AS (
        SELECT e.merchant_id, e.affiliate_id, e.currency,
            to_char(block.booked_at AT TIME ZONE 'UTC', 'YYYY-MM') AS period, sum(e.amount_minor) AS amount
        FROM ledger_entry AS e JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)
        WHERE (e.merchant_id IS NOT NULL OR e.affiliate_id IS NOT NULL)
            AND ($1::int IS NULL OR e.merchant_id = $1) AND ($2::int IS NULL OR e.affiliate_id = $2)
            AND ($3::text IS NULL OR e.currency = $3::char(3))
            AND split_part(e.account, ':', 1) IN ('merchant_receivable', 'merchant_prepaid',
                'affiliate_pending', 'affiliate_payable')
        GROUP BY 1, 2, 3, 4
    ), running AS (
        SELECT *,
            sum(amount) OVER (PARTITION BY merchant_id, affiliate_id, currency ORDER BY period) AS closing,
            CASE WHEN merchant_id IS NULL THEN 'affiliate' ELSE 'merchant' END AS party,
            coalesce(merchant_id, affiliate_id) AS party_id
        FROM moved
    )
    SELECT running.*, issued.number, issued.replaces, close.block_number IS NOT NULL AS is_final,
        coalesce(close.block_number,
        (SELECT max(number) FROM block
         WHERE booked_at < ((running.period || '-01')::timestamp + interval '1 month') AT TIME ZONE 'UTC')) AS block
    FROM running LEFT JOIN period_close AS close ON close.period = running.period
    LEFT JOIN statement AS issued ON issued.period = running.period AND issued.currency = running.currency
        AND (issued.merchant_id = running.merchant_id OR issued.affiliate_id = running.affiliate_id)
        AND NOT EXISTS (SELECT FROM statement_void AS void WHERE void.number = issued.number)
    WHERE $4::text IS NULL
        OR (running.period, party, party_id, running.currency::text) < ($4, $5::text, $6::int, $7::text)
    ORDER BY running.period DESC, party DESC, party_id DESC, running.currency::text DESC LIMIT $8
"""


@dataclass(frozen=True, slots=True)
class ListedStatement:
    """One row of the list of statements, in the party's view. number: of the one that is not void; None for a draft."""

    party: Party
    period: Period
    currency: str
    is_final: bool
    opening_minor: int
    closing_minor: int
    block_number: int
    number: str | None
    replaces: str | None


@dataclass(frozen=True, slots=True)
class StatementPosition:
    """Where a list goes on: the last row shown. party: `affiliate` or `merchant`."""

    period: str
    party: str
    party_id: int
    currency: str


async def find_cut(session: Session, period: Period, *, block_number: int | None) -> Cut | None:
    """The cut of `period`: its last block, or an older one if `block_number` names it. None: there is no such block.

    Final once the period is closed and the cut is where it was closed.
    """
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT coalesce((SELECT max(number) FROM block), 0) AS head,"
        " coalesce((SELECT number FROM block WHERE booked_at < $1 ORDER BY booked_at DESC, number DESC LIMIT 1), 0)"
        "   AS before,"
        " coalesce((SELECT number FROM block WHERE booked_at < $2 ORDER BY booked_at DESC, number DESC LIMIT 1), 0)"
        "   AS last,"
        " (SELECT block_number FROM period_close WHERE period = $3::char(7)) AS closed",
        (period.start, period.end, str(period)),
    )
    row = result.one()
    if block_number is not None and block_number > row.head:
        return None
    number = row.last if block_number is None else min(block_number, row.last)
    found = await connection.exec_driver_sql("SELECT hash, booked_at FROM block WHERE number = $1", (number,))
    block = found.one_or_none()
    return Cut(
        number=number,
        before_number=min(row.before, number),
        hash=GENESIS_HASH if block is None else block.hash,
        booked_at=None if block is None else block.booked_at,
        is_final=row.closed is not None and number == row.closed,
    )


async def find_currencies(session: Session, party: Party) -> list[str]:
    """Every currency that the party has entries in."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT DISTINCT currency::text AS currency FROM ledger_entry"
        " WHERE merchant_id = $1::int OR affiliate_id = $2::int ORDER BY 1",
        (party.merchant_id, party.affiliate_id),
    )
    return [row.currency for row in result]


async def sum_movements(session: Session, party: Party, *, currency: str, cut: Cut) -> list[Movement]:
    """The party's entries up to the cut, summed by account kind, transaction kind, and before or inside the period."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT split_part(e.account, ':', 1) AS account_kind, t.kind, block.number > $4 AS in_period,"
        " sum(e.amount_minor) AS amount_minor FROM ledger_entry AS e"
        " JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)"
        " WHERE (e.merchant_id = $1::int OR e.affiliate_id = $2::int) AND e.currency = $3::char(3)"
        " AND block.number <= $5 GROUP BY 1, 2, 3",
        (party.merchant_id, party.affiliate_id, currency, cut.before_number, cut.number),
    )
    return [Movement(row.account_kind, row.kind, row.in_period, int(row.amount_minor)) for row in result]


async def stream_lines(
    session: Session, party: Party, *, currency: str, cut: Cut, is_grouped: bool = False
) -> AsyncGenerator[StatementLine]:
    """The lines, through a server-side cursor: memory does not grow with their number.

    In booked order; is_grouped: offer by offer, then kind by kind what no offer caused, each group in booked order.
    """
    values: dict[str, Any] = {
        "merchant_id": party.merchant_id,
        "affiliate_id": party.affiliate_id,
        "currency": currency,
        "after": cut.before_number,
        "until": cut.number,
        "account_kinds": list(party.sections),
    }
    if is_grouped:
        values["kinds"] = list(KIND_ORDER)
    result = await session.stream(
        _GROUPED_LINES if is_grouped else _BOOKED_LINES,
        values,
        execution_options={"yield_per": LINES_AT_ONCE},
    )
    async for row in result:
        yield _line(party, row)


def _line(party: Party, row: Any) -> StatementLine:
    amounts = dict.fromkeys(party.sections.values(), 0)
    for account_kind, amount_minor in zip(row.account_kinds, row.amounts_minor, strict=True):
        amounts[party.sections[account_kind]] += party.sign * amount_minor
    return StatementLine(
        block_number=row.number,
        booked_at=row.booked_at,
        transaction_id=row.transaction_id,
        occurred_at=row.occurred_at,
        kind=row.kind,
        offer_id=row.offer_id,
        commission_id=row.commission_id,
        conversion_id=row.conversion_id,
        reason_code=row.reason_code,
        amounts_minor=amounts,
        rate=None if row.rate is None else msgspec.json.decode(row.rate, type=RateUsedV1),
    )


async def list_statement_rows(
    session: Session, party: Party | None, *, currency: str | None, before: StatementPosition | None, limit: int
) -> list[ListedStatement]:
    """Statements with bookings, newest period first; `party` None: of everybody that the role may see."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _LIST,
        (
            None if party is None else party.merchant_id,
            None if party is None else party.affiliate_id,
            currency,
            None if before is None else before.period,
            None if before is None else before.party,
            None if before is None else before.party_id,
            None if before is None else before.currency,
            limit,
        ),
    )
    return [_listed(row) for row in result]


def _listed(row: Any) -> ListedStatement:
    party = Party(merchant_id=row.merchant_id, affiliate_id=row.affiliate_id)
    return ListedStatement(
        party=party,
        period=parse_period(row.period),
        currency=row.currency,
        is_final=row.is_final,
        opening_minor=party.sign * int(row.closing - row.amount),
        closing_minor=party.sign * int(row.closing),
        block_number=row.block,
        number=row.number,
        replaces=row.replaces,
    )
