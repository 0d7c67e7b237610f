"""Find the exchange rate that holds on a day."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Final

from services.commissions.domain.exchange_rates import PIVOT, RATE_DAYS_MAX, ExchangeRate, RateBook
from services.commissions.storage.rate_store import RecordedRate, find_holding, find_recorded
from shared.kernel.errors import TributaryError
from shared.runtime.database import Session

RECORDED_MAX: Final = 100
"""Rows of one day that an answer shows: the day's rate, and what it corrected."""


class RateMissing(TributaryError):
    """No rate of the pair holds on the day: none was recorded, or the last one is too old. Never taken for 1."""

    code = "exchange_rate_missing"


async def load_rates(
    session: Session, *, currencies: Iterable[str], days: Iterable[date], days_max: int = RATE_DAYS_MAX
) -> RateBook:
    """Every rate that may hold between any two of `currencies` on any of `days`. One query."""
    wanted = {day - timedelta(days=age) for day in days for age in range(days_max + 1)}
    return RateBook(await find_holding(session, currencies={*currencies, PIVOT}, days=wanted))


async def find_rate(
    session: Session, *, base: str, quote: str, on: date, days_max: int = RATE_DAYS_MAX
) -> ExchangeRate:
    """The rate that holds on `on`. Raises RateMissing."""
    book = await load_rates(session, currencies=(base, quote), days=[on], days_max=days_max)
    found = book.find(base, quote, on, days_max=days_max)
    if found is None:
        raise RateMissing(f"no rate of {base}/{quote} holds on {on}")
    return found


async def find_rate_records(session: Session, rate: ExchangeRate) -> list[RecordedRate]:
    """The rows of the day that `rate` follows from, the newest first, with those that were corrected."""
    currencies = (rate.base, rate.quote, PIVOT)
    return await find_recorded(session, currencies=currencies, day=rate.as_of, limit=RECORDED_MAX)
