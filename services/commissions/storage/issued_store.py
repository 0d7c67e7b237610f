"""Numbered statements, those that are void, and the hashes of their files. Rows only grow."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import msgspec

from services.commissions.domain.statement import Party
from services.commissions.domain.statement_document import Particulars
from services.commissions.domain.statement_lifecycle import Series, StatementState
from shared.kernel.period import Period, parse_period
from shared.runtime.database import Session

FileForm = Literal["json", "csv", "xlsx", "pdf"]

_NUMBERS_LOCK: Final = 7406234
"""Held by whoever gives numbers, so that a series has no gap. Taken before the block lock."""

_FILES_LOCK: Final = 7406235
_ISSUED: Final = """
    SELECT s.number, s.merchant_id, s.affiliate_id, s.period, s.currency, s.block_number, s.replaces,
        s.particulars::text AS particulars, s.opening_minor, s.closing_minor, s.net_minor, s.vat_minor, s.finalised_at,
        v.replaced_by, v.reason_code, v.voided_at
    FROM statement AS s LEFT JOIN statement_void AS v USING (number)
"""
_UNNUMBERED: Final = """
    SELECT DISTINCT e.merchant_id, e.affiliate_id, e.currency
    FROM block JOIN ledger_transaction AS t USING (posting_id) JOIN ledger_entry AS e USING (transaction_id)
    WHERE block.booked_at >= $1 AND block.booked_at < $2
        AND split_part(e.account, ':', 1) IN ('merchant_receivable', 'merchant_prepaid', 'affiliate_pending',
            'affiliate_payable')
        AND NOT EXISTS (
            SELECT FROM statement AS s WHERE s.period = $3::char(7) AND s.currency = e.currency
                AND s.merchant_id IS NOT DISTINCT FROM e.merchant_id
                AND s.affiliate_id IS NOT DISTINCT FROM e.affiliate_id
        )
    ORDER BY e.affiliate_id NULLS LAST, e.merchant_id, e.currency LIMIT $4
"""


@dataclass(frozen=True, slots=True)
class IssuedStatement:
    """One numbered statement. Amounts in the party's view; net and vat None where no tax settings were in force.

    replaced_by, reason_code, voided_at: set once it is void.
    """

    number: str
    party: Party
    period: Period
    currency: str
    block_number: int
    particulars: Particulars
    opening_minor: int
    closing_minor: int
    net_minor: int | None
    vat_minor: int | None
    finalised_at: datetime
    replaces: str | None = None
    replaced_by: str | None = None
    reason_code: str | None = None
    voided_at: datetime | None = None

    @property
    def state(self) -> StatementState:
        """final, or void."""
        return StatementState.FINAL if self.replaced_by is None else StatementState.VOID


async def try_lock_numbers(session: Session) -> bool:
    """Be the one who gives numbers until the transaction ends; False when another is."""
    connection = await session.connection()
    result = await connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock($1)", (_NUMBERS_LOCK,))
    return bool(result.scalar_one())


async def lock_numbers(session: Session) -> None:
    """Wait to be the one who gives numbers."""
    connection = await session.connection()
    await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_NUMBERS_LOCK,))


async def try_lock_files(session: Session) -> bool:
    """Be the one who records files' hashes until the transaction ends; False when another is."""
    connection = await session.connection()
    result = await connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock($1)", (_FILES_LOCK,))
    return bool(result.scalar_one())


async def find_period_to_number(session: Session) -> Period | None:
    """The oldest closed period whose statements are not all numbered."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT min(period) FROM period_close WHERE period NOT IN (SELECT period FROM statement_sweep)"
    )
    period = result.scalar_one()
    return None if period is None else parse_period(period)


async def list_unnumbered(session: Session, period: Period, *, limit: int) -> list[tuple[Party, str]]:
    """Parties and currencies with bookings in `period` that have no statement yet, in the order of their numbers."""
    connection = await session.connection()
    found = await connection.exec_driver_sql(_UNNUMBERED, (period.start, period.end, str(period), limit))
    return [(Party(merchant_id=row.merchant_id, affiliate_id=row.affiliate_id), row.currency) for row in found]


async def insert_sweep(session: Session, period: Period, *, now: datetime) -> None:
    """Every statement of `period` has its number."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO statement_sweep (period, finished_at) VALUES ($1, $2)", (str(period), now)
    )


async def last_number(session: Session, series: Series) -> int:
    """The newest number of a series, 0 before the first. Only under the lock."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT coalesce(max(n), 0) FROM statement WHERE series = $1", (series.value,)
    )
    return int(result.scalar_one())


async def insert_statement(session: Session, issued: IssuedStatement, *, series: Series, n: int) -> None:
    """Record a numbered statement."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO statement (number, series, n, merchant_id, affiliate_id, period, currency, block_number, replaces,"
        " particulars, opening_minor, closing_minor, net_minor, vat_minor, finalised_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10::text::jsonb, $11, $12, $13, $14, $15)",
        (
            issued.number,
            series.value,
            n,
            issued.party.merchant_id,
            issued.party.affiliate_id,
            str(issued.period),
            issued.currency,
            issued.block_number,
            issued.replaces,
            msgspec.json.encode(issued.particulars).decode(),
            issued.opening_minor,
            issued.closing_minor,
            issued.net_minor,
            issued.vat_minor,
            issued.finalised_at,
        ),
    )


async def insert_void(
    session: Session, issued: IssuedStatement, *, replaced_by: str, reason_code: str, actor: str, now: datetime
) -> None:
    """Record that a statement is void."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO statement_void (number, replaced_by, merchant_id, affiliate_id, reason_code, actor, voided_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7)",
        (issued.number, replaced_by, issued.party.merchant_id, issued.party.affiliate_id, reason_code, actor, now),
    )


async def find_issued(session: Session, number: str) -> IssuedStatement | None:
    """By number; None where there is none, or the caller may not see it."""
    return await _one(session, "WHERE s.number = $1", (number,))


async def find_current(session: Session, party: Party, *, period: Period, currency: str) -> IssuedStatement | None:
    """The one that is not void, of a party, a period and a currency."""
    where = "WHERE (s.merchant_id = $1::int OR s.affiliate_id = $2::int) AND s.period = $3::char(7)"
    where += " AND s.currency = $4::char(3) AND v.number IS NULL"
    return await _one(session, where, (party.merchant_id, party.affiliate_id, str(period), currency))


async def find_unhashed(session: Session, forms: Sequence[FileForm]) -> tuple[IssuedStatement, FileForm] | None:
    """The oldest numbered statement with a form whose hash is not recorded, and that form."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT s.number, form FROM statement AS s CROSS JOIN unnest($1::text[]) AS form"
        " WHERE NOT EXISTS (SELECT FROM statement_file AS f WHERE f.number = s.number AND f.form = form.form)"
        " ORDER BY s.finalised_at, s.number, form LIMIT 1",
        (list(forms),),
    )
    row = result.one_or_none()
    if row is None:
        return None
    issued = await find_issued(session, row.number)
    assert issued is not None, "rows only grow"
    return issued, row.form


async def insert_file(session: Session, issued: IssuedStatement, form: str, *, sha256: bytes | None, size: int) -> None:
    """Record the hash of a file; None where the statement is too long for the form."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO statement_file (number, form, merchant_id, affiliate_id, sha256, bytes)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        (issued.number, form, issued.party.merchant_id, issued.party.affiliate_id, sha256, size),
    )


async def find_file_hash(session: Session, number: str, form: str) -> bytes | None:
    """SHA-256 of the file, None until it is recorded."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT sha256 FROM statement_file WHERE number = $1 AND form = $2", (number, form)
    )
    return result.scalar_one_or_none()


async def _one(session: Session, where: str, values: tuple[Any, ...]) -> IssuedStatement | None:
    connection = await session.connection()
    result = await connection.exec_driver_sql(f"{_ISSUED} {where}", values)
    row = result.one_or_none()
    return None if row is None else _issued(row)


def _issued(row: Any) -> IssuedStatement:
    return IssuedStatement(
        number=row.number,
        party=Party(merchant_id=row.merchant_id, affiliate_id=row.affiliate_id),
        period=parse_period(row.period),
        currency=row.currency,
        block_number=row.block_number,
        particulars=msgspec.json.decode(row.particulars, type=Particulars),
        opening_minor=int(row.opening_minor),
        closing_minor=int(row.closing_minor),
        net_minor=None if row.net_minor is None else int(row.net_minor),
        vat_minor=None if row.vat_minor is None else int(row.vat_minor),
        finalised_at=row.finalised_at,
        replaces=row.replaces,
        replaced_by=row.replaced_by,
        reason_code=row.reason_code,
        voided_at=row.voided_at,
    )
