"""Periods are UTC months, half-open."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.errors import InvalidValue
from shared.kernel.period import Period, parse_period, period_of

instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


@given(instants)
def test_an_instant_lies_in_exactly_its_own_period(instant: datetime) -> None:
    period = period_of(instant)

    assert period.start <= instant < period.end
    assert period_of(period.end) == period.following()
    assert period_of(period.start - timedelta(microseconds=1)) == period.preceding()
    assert parse_period(str(period)) == period


def test_the_month_is_judged_in_utc() -> None:
    new_year_in_tokyo = datetime(2027, 1, 1, 8, 59, tzinfo=timezone(timedelta(hours=9)))

    assert period_of(new_year_in_tokyo) == Period(2026, 12)


@pytest.mark.parametrize("text", ["2026-13", "2026-00", "2026-1", "26-01", "2026/01", "", "2026-01-01", "٢٠٢٦-01"])
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_period(text)


def test_an_instant_without_zone_is_a_bug() -> None:
    with pytest.raises(ValueError, match="time zone"):
        period_of(datetime(2026, 1, 1))  # noqa: DTZ001
