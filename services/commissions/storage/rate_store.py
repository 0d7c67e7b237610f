"""Exchange rates in PostgreSQL: written beside one another, never over one another."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from services.commissions.domain.exchange_rates import ExchangeRate
from shared.runtime.database import Session

RATES_AT_ONCE: Final = 5_000
_RECORDING_LOCK: Final = 0x7472_6962_7261_7465
"""Whoever records rates holds it, so that of two that come at once the second is compared to the first."""

_HOLDING: Final = """
    SELECT DISTINCT ON (as_of, base, quote) base, quote, rate, source, as_of FROM exchange_rate
    WHERE as_of = ANY ($1::date[]) AND base = ANY ($2::text[]) AND quote = ANY ($2::text[])
    ORDER BY as_of, base, quote, number DESC
"""
_LAST_OF_SOURCE: Final = """
    SELECT DISTINCT ON (e.as_of, e.base, e.quote, e.source) e.base, e.quote, e.rate, e.source, e.as_of
    FROM exchange_rate AS e
        JOIN unnest($1::text[], $2::text[], $3::text[], $4::date[]) AS given (base, quote, source, as_of)
        ON e.as_of = given.as_of AND e.base = given.base AND e.quote = given.quote AND e.source = given.source
    ORDER BY e.as_of, e.base, e.quote, e.source, e.number DESC
"""
_INSERT: Final = """
    INSERT INTO exchange_rate (base, quote, rate, source, as_of, import_id, imported_at, actor, reason_code)
    SELECT base, quote, rate, source, as_of, $6, $7, $8, $9
    FROM unnest($1::text[], $2::text[], $3::numeric[], $4::text[], $5::date[])
        AS new (base, quote, rate, source, as_of)
"""
_RECORDED: Final = """
    SELECT base, quote, rate, source, as_of, imported_at, actor, reason_code FROM exchange_rate
    WHERE as_of = $1 AND base = ANY ($2::text[]) AND quote = ANY ($2::text[])
    ORDER BY number DESC LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class Recording:
    """What a row carries beside the rate. reason_code: why, where it corrects one."""

    import_id: UUID
    at: datetime
    actor: str
    reason_code: str | None


@dataclass(frozen=True, slots=True)
class RecordedRate:
    """One row. rate, at, actor, reason_code: as they were recorded."""

    rate: ExchangeRate
    at: datetime
    actor: str
    reason_code: str | None


async def lock_recording(session: Session) -> None:
    """Be the only one that records rates until the transaction ends."""
    connection = await session.connection()
    await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_RECORDING_LOCK,))


async def find_holding(session: Session, *, currencies: Iterable[str], days: Iterable[date]) -> list[ExchangeRate]:
    """Of each pair among `currencies` and each of `days` the rate recorded last."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(_HOLDING, (sorted(set(days)), sorted(set(currencies))))
    return [_rate(row.base, row.quote, row.rate, row.source, row.as_of) for row in result]


async def find_last_of_source(
    session: Session, rates: Sequence[ExchangeRate]
) -> dict[tuple[str, str, str, date], Decimal]:
    """What each rate's own source said last of its pair and day, by base, quote, source and day."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _LAST_OF_SOURCE,
        (
            [each.base for each in rates],
            [each.quote for each in rates],
            [each.source for each in rates],
            [each.as_of for each in rates],
        ),
    )
    return {(row.base, row.quote, row.source, row.as_of): row.rate for row in result}


async def insert_rates(session: Session, rates: Sequence[ExchangeRate], recording: Recording) -> None:
    """Write rates after all that are there."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        _INSERT,
        (
            [each.base for each in rates],
            [each.quote for each in rates],
            [each.rate for each in rates],
            [each.source for each in rates],
            [each.as_of for each in rates],
            recording.import_id,
            recording.at,
            recording.actor,
            recording.reason_code,
        ),
    )


async def find_recorded(session: Session, *, currencies: Iterable[str], day: date, limit: int) -> list[RecordedRate]:
    """Every row of a day between any two of `currencies`, the newest first, corrected ones too."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(_RECORDED, (day, sorted(set(currencies)), limit))
    return [
        RecordedRate(
            _rate(row.base, row.quote, row.rate, row.source, row.as_of), row.imported_at, row.actor, row.reason_code
        )
        for row in result
    ]


def _rate(base: str, quote: str, rate: Decimal, source: str, as_of: date) -> ExchangeRate:
    return ExchangeRate(base, quote, rate, source, as_of)
