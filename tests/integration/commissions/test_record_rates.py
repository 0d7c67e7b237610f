"""Exchange rates on PostgreSQL: recorded once, corrected beside, never changed; read by day."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy.exc import DBAPIError

from services.commissions.domain.exchange_rates import ExchangeRate, rate_text
from services.commissions.usecases import record_rates as recording
from services.commissions.usecases.find_rate import RateMissing, find_rate, find_rate_records
from services.commissions.usecases.record_rates import RateCorrected, RatesRecorded, record_rates
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.exchange_rates import fresh_day
from tests.factories.ledger import query

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
async def staff(postgres: TestPostgres) -> AsyncIterator[Database]:
    database = Database(postgres.migrate("commissions"), role="commissions_staff", name="rates-staff")
    yield database
    await database.close()


def rate(day: date, text: str = "1.25", quote: str = "USD", *, source: str = "ecb") -> ExchangeRate:
    return ExchangeRate("EUR", quote, Decimal(text), source, day)


async def record(
    database: Database, *rates: ExchangeRate, reason: str | None = None, dry: bool = False
) -> RatesRecorded:
    async with database.transaction() as session:
        return await record_rates(session, rates, actor="key:test", now=NOW, reason_code=reason, is_dry_run=dry)


async def holds(database: Database, on: date, base: str = "EUR", quote: str = "USD") -> str:
    async with database.transaction() as session:
        return rate_text((await find_rate(session, base=base, quote=quote, on=on)).rate)


async def rows_of(database: Database, day: date) -> int:
    return len(await query(database, "SELECT 1 FROM exchange_rate WHERE as_of = $1", day))


async def test_a_rate_is_kept_exactly_and_the_same_again_changes_nothing(staff: Database) -> None:
    day = fresh_day()
    exact = rate(day, "123456789.123456789012")

    first, again = await record(staff, exact), await record(staff, exact)

    assert (first.recorded, first.unchanged) == (1, 0)
    assert (again.recorded, again.unchanged) == (0, 1)
    assert await holds(staff, day) == "123456789.123456789012"
    assert await rows_of(staff, day) == 1


async def test_a_correction_has_a_reason_and_stands_beside_what_it_corrects(staff: Database) -> None:
    day = fresh_day()
    await record(staff, rate(day, "1.25"))

    with pytest.raises(RateCorrected):
        await record(staff, rate(day, "0.9", "GBP"), rate(day, "1.26"))
    assert await rows_of(staff, day) == 1, "all of them or none"
    corrected = await record(staff, rate(day, "0.9", "GBP"), rate(day, "1.26"), reason="published_wrong")

    assert (corrected.recorded, corrected.corrected) == (2, 1)
    assert await holds(staff, day) == "1.26"
    async with staff.transaction() as session:
        records = await find_rate_records(session, await find_rate(session, base="EUR", quote="USD", on=day))
    assert [(rate_text(each.rate.rate), each.reason_code) for each in records] == [
        ("1.26", "published_wrong"),
        ("1.25", None),
    ]


async def test_what_finance_sets_holds_until_somebody_says_something_new(staff: Database) -> None:
    day = fresh_day()
    await record(staff, rate(day, "1.25"))
    await record(staff, rate(day, "1.3", source="house_bank"))

    await record(staff, rate(day, "1.25"))  # the bank's file once more

    assert await holds(staff, day) == "1.3"


async def test_a_dry_run_counts_and_refuses_alike_and_writes_nothing(staff: Database) -> None:
    day = fresh_day()

    tried = await record(staff, rate(day), dry=True)

    assert (tried.recorded, await rows_of(staff, day)) == (1, 0)
    await record(staff, rate(day))
    with pytest.raises(RateCorrected):
        await record(staff, rate(day, "2"), dry=True)


async def test_an_old_rate_holds_for_a_week_and_then_none_does(staff: Database) -> None:
    day = fresh_day()
    await record(staff, rate(day), rate(day, "0.8", "GBP"))

    assert await holds(staff, day + timedelta(days=7), "USD", "GBP") == "0.64"
    for on in (day + timedelta(days=8), day - timedelta(days=1)):
        with pytest.raises(RateMissing):
            await holds(staff, on, "USD", "GBP")


async def test_of_two_that_come_at_once_the_second_is_compared_to_the_first(staff: Database) -> None:
    day = fresh_day()

    outcomes = await asyncio.gather(*(record(staff, rate(day)) for _ in range(4)))

    assert sorted(each.recorded for each in outcomes) == [0, 0, 0, 1]
    assert await rows_of(staff, day) == 1


async def test_batches_are_one_recording(staff: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RATES_AT_ONCE", 2)
    days = [fresh_day() for _ in range(5)]
    said: list[tuple[int, int]] = []

    async with staff.transaction() as session:
        outcome = await record_rates(
            session, [rate(day) for day in days], actor="operator", now=NOW, progress=lambda *step: said.append(step)
        )

    assert (outcome.recorded, said) == (5, [(2, 5), (4, 5), (5, 5)])
    rows = await query(staff, "SELECT count(*) FROM exchange_rate WHERE import_id = $1", outcome.import_id)
    assert rows == [(5,)]


@pytest.mark.parametrize("change", ["UPDATE exchange_rate SET rate = 1", "DELETE FROM exchange_rate"])
async def test_rates_only_grow_even_for_their_owner(owner_database: Database, staff: Database, change: str) -> None:
    await record(staff, rate(fresh_day()))

    for database in (owner_database, staff):
        with pytest.raises(DBAPIError, match=r"only grows|permission denied"):
            await query(database, change)


async def test_a_tenants_role_and_the_worker_cannot_record(postgres: TestPostgres) -> None:
    url = postgres.migrate("commissions")
    for role in ("commissions_api", "commissions_worker"):
        database = Database(url, role=role, pool_size=1)
        with pytest.raises(DBAPIError, match="permission denied"):
            await record(database, rate(fresh_day()))
        await database.close()
