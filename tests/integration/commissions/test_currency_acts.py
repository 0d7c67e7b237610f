"""Exchange of what is payable, and revaluation of what that leaves, on PostgreSQL."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from uuid import uuid4

import pytest

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.exchange_rates import ExchangeRate
from services.commissions.storage.position_store import find_positions
from services.commissions.usecases.close_period import close_passed_periods
from services.commissions.usecases.exchange_payable import Exchanged, NotPayable, exchange_payable
from services.commissions.usecases.find_rate import RateMissing
from services.commissions.usecases.post_acts import post_acts
from services.commissions.usecases.recompute_ledger import recompute_acts
from services.commissions.usecases.record_rates import record_rates
from services.commissions.usecases.revalue_positions import (
    PeriodOpen,
    RevaluationDone,
    Revalued,
    revalue_positions,
)
from services.commissions.usecases.verify_ledger import verify_ledger
from shared.kernel.money import Money, exact_conversion
from shared.kernel.period import Period
from shared.runtime.database import Database, Session
from tests.conftest import TestPostgres
from tests.factories.commissions import fresh_id
from tests.factories.exchange_rates import fresh_day
from tests.factories.ledger import ledger_sha256, query

JANUARY, FEBRUARY = Period(2031, 1), Period(2031, 2)


class _Undo(Exception):
    """Rolls a test's transaction back: a chain that has seen the future would carry every later test there."""


@pytest.fixture(scope="module")
async def staff(postgres: TestPostgres) -> AsyncIterator[Database]:
    database = Database(postgres.migrate("commissions"), role="commissions_staff", name="currency-staff")
    yield database
    await database.close()


@pytest.fixture(scope="module", autouse=True)
async def booked_today(worker_database: Database) -> None:
    """The chain has come to today: a test of an early day, run first, would open that day's month for all others."""
    now = datetime.now(UTC)
    async with worker_database.transaction() as session:
        await owe(session, fresh_id(), Money(1, "EUR"), now=now, payable_at=now)


def noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


async def record(session: Session, day: date, **quotes: str) -> None:
    """What one euro is worth on `day`."""
    rates = [ExchangeRate("EUR", currency, Decimal(text), "ecb", day) for currency, text in quotes.items()]
    await record_rates(session, rates, actor="key:test", now=noon(day))


async def owe(session: Session, affiliate_id: int, amount: Money, *, now: datetime, payable_at: datetime) -> None:
    """`amount` becomes payable to an affiliate."""
    inputs = {
        "affiliate_id": affiliate_id,
        "merchant_id": None,
        "amount_minor": amount.amount_minor,
        "currency": amount.currency,
        "payable_at": payable_at.isoformat(),
    }
    await post_acts(session, [FinanceAct(uuid4(), "bonus", inputs, "key:test", now)], now=now)


async def exchange(
    session: Session, affiliate_id: int, currency: str, to: str, amount: Money | None = None, *, now: datetime
) -> Exchanged:
    return await exchange_payable(
        session,
        affiliate_id,
        currency=currency,
        to_currency=to,
        amount=amount,
        actor="key:test",
        reason_code="affiliate_asked",
        now=now,
    )


async def payable(database: Database, affiliate_id: int) -> dict[str, int]:
    rows = await query(
        database,
        "SELECT currency::text, -sum(amount_minor)::bigint FROM ledger_entry WHERE account = $1"
        " GROUP BY 1 HAVING sum(amount_minor) <> 0",
        f"affiliate_payable:{affiliate_id}",
    )
    return {str(currency): int(str(amount)) for currency, amount in rows}


async def test_what_is_payable_by_now_is_exchanged_and_the_rest_stays(staff: Database) -> None:
    day, affiliate_id = fresh_day(), fresh_id()
    now = noon(day)
    async with staff.transaction() as session:
        await record(session, day, USD="1.25")
        await owe(session, affiliate_id, Money(1_001, "USD"), now=now, payable_at=now)
        await owe(session, affiliate_id, Money(500, "USD"), now=now, payable_at=now + timedelta(days=1))

    async with staff.transaction() as session:
        done = await exchange(session, affiliate_id, "USD", "EUR", now=now)

    assert (done.given, done.received, done.rate.rate) == (Money(1_001, "USD"), Money(801, "EUR"), "0.8")
    assert await payable(staff, affiliate_id) == {"USD": 500, "EUR": 801}
    (inputs,) = await query(staff, "SELECT inputs::text FROM finance_act WHERE act_id = $1", done.act_id)
    assert '"source": "ecb"' in str(inputs)


async def test_neither_more_than_is_payable_nor_what_comes_to_nothing_nor_without_a_rate(staff: Database) -> None:
    day, affiliate_id = fresh_day(), fresh_id()
    now = noon(day)
    async with staff.transaction() as session:
        await record(session, day, JPY="160")
        await owe(session, affiliate_id, Money(100, "JPY"), now=now, payable_at=now)
    before = await ledger_sha256(staff)

    for amount, refusal in ((101, NotPayable), (0, NotPayable)):
        with pytest.raises(refusal):
            async with staff.transaction() as session:
                await exchange(session, affiliate_id, "JPY", "EUR", Money(amount, "JPY"), now=now)
    with pytest.raises(NotPayable):
        async with staff.transaction() as session:
            await exchange(session, fresh_id(), "JPY", "EUR", now=now)
    with pytest.raises(RateMissing):
        async with staff.transaction() as session:
            await exchange(session, affiliate_id, "JPY", "GBP", now=now)

    assert await ledger_sha256(staff) == before


async def test_two_exchanges_at_once_give_away_nothing_twice(staff: Database) -> None:
    day, affiliate_id = fresh_day(), fresh_id()
    now = noon(day)
    async with staff.transaction() as session:
        await record(session, day, USD="1.25")
        await owe(session, affiliate_id, Money(1_000, "USD"), now=now, payable_at=now)

    async def once() -> Exchanged:
        async with staff.transaction() as session:
            return await exchange(session, affiliate_id, "USD", "EUR", Money(600, "USD"), now=now)

    outcomes = await asyncio.gather(once(), once(), return_exceptions=True)

    assert sorted(type(each).__name__ for each in outcomes) == ["Exchanged", "NotPayable"]
    assert await payable(staff, affiliate_id) == {"USD": 400, "EUR": 480}


async def test_later_rates_change_nothing_of_what_is_posted(staff: Database) -> None:
    day, affiliate_id = fresh_day(), fresh_id()
    now = noon(day)
    async with staff.transaction() as session:
        await record(session, day, USD="1.25")
        await owe(session, affiliate_id, Money(1_000, "USD"), now=now, payable_at=now)
        await exchange(session, affiliate_id, "USD", "EUR", now=now)
    before = await ledger_sha256(staff)

    async with staff.transaction() as session:
        await record_rates(
            session,
            [ExchangeRate("EUR", "USD", Decimal(2), "ecb", day)],
            actor="key:test",
            now=now,
            reason_code="published_wrong",
        )
        await verify_ledger(session)
        assert await recompute_acts(session) >= 2

    assert await ledger_sha256(staff) == before


class Year:
    """A ledger in a year to come, inside one transaction that is rolled back."""

    def __init__(self, session: Session) -> None:
        self.session = session

    async def exchanged(self, day: date, amount: Money) -> None:
        """An affiliate's `amount` in rand is exchanged into euros on `day`."""
        affiliate_id = fresh_id()
        await owe(self.session, affiliate_id, amount, now=noon(day), payable_at=noon(day))
        await exchange(self.session, affiliate_id, amount.currency, "EUR", now=noon(day))

    async def rates(self, day: date, rand: str) -> None:
        """Every currency that anything stands in, the same on each day but for the rand."""
        standing = await find_positions(self.session, Period(2035, 1))
        others = {currency: "2" for currency in standing if currency not in ("EUR", "ZAR")}
        await record(self.session, day, ZAR=rand, **others)

    async def revalue(self, period: Period, now: datetime) -> Revalued:
        return await revalue_positions(self.session, period, base="EUR", actor="key:test", now=now)

    async def closed(self, now: datetime) -> None:
        await close_passed_periods(self.session, now)


@asynccontextmanager
async def year(database: Database) -> AsyncIterator[Year]:
    with contextlib.suppress(_Undo):
        async with database.transaction() as session:
            yield Year(session)
            raise _Undo


async def test_a_month_is_revalued_once_at_its_last_rates(staff: Database) -> None:
    async with year(staff) as ledger:
        await ledger.rates(date(2031, 1, 30), "20")
        await ledger.exchanged(date(2031, 1, 31), Money(20_000, "ZAR"))  # 200.00 ZAR for 10.00 EUR
        with pytest.raises(PeriodOpen):
            await ledger.revalue(JANUARY, datetime(2031, 1, 31, 23, tzinfo=UTC))
        await ledger.closed(datetime(2031, 2, 1, tzinfo=UTC))
        first = await ledger.revalue(JANUARY, datetime(2031, 2, 1, 1, tzinfo=UTC))
        with pytest.raises(RevaluationDone):
            await ledger.revalue(JANUARY, datetime(2031, 2, 1, 2, tzinfo=UTC))
        await ledger.rates(date(2031, 2, 27), "16")  # the rand gained: 200.00 ZAR are worth 12.50 EUR
        await ledger.closed(datetime(2031, 3, 1, tzinfo=UTC))
        second = await ledger.revalue(FEBRUARY, datetime(2031, 3, 1, 1, tzinfo=UTC))
        with pytest.raises(RevaluationDone):
            await ledger.revalue(JANUARY, datetime(2031, 3, 1, 2, tzinfo=UTC))
        standing = await find_positions(ledger.session, FEBRUARY)
        await recompute_acts(ledger.session)

    (rand,) = [each for each in second.positions if each.position.currency == "ZAR"]
    assert (rand.position, rand.worth) == (Money(-20_000, "ZAR"), Money(-1_250, "EUR"))
    assert (rand.rate.source, rand.rate.as_of) == ("ecb", date(2031, 2, 27))
    assert abs(second.gain.amount_minor - 250) <= 1  # what stood in other currencies may round otherwise
    assert first.block_number is None or second.block_number != first.block_number
    worth = sum(
        (
            exact_conversion(
                Fraction(each.position.amount_minor), base=each.position.currency, quote="EUR", rate=each.rate.rate
            )
            for each in second.positions
        ),
        Fraction(0),
    )
    assert abs(standing.get("EUR", 0) + worth) <= Fraction(1, 2)


async def test_without_a_rate_of_one_position_nothing_is_revalued(staff: Database) -> None:
    async with year(staff) as ledger:
        await ledger.rates(date(2031, 1, 1), "20")
        await ledger.exchanged(date(2031, 1, 2), Money(20_000, "ZAR"))
        await ledger.closed(datetime(2031, 2, 1, tzinfo=UTC))
        with pytest.raises(RateMissing):
            await ledger.revalue(JANUARY, datetime(2031, 2, 1, 1, tzinfo=UTC))
        await ledger.rates(date(2031, 1, 31), "20")
        assert (await ledger.revalue(JANUARY, datetime(2031, 2, 1, 1, tzinfo=UTC))).period == JANUARY
