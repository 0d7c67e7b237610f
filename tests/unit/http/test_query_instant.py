"""Instants in queries arrive in UTC, or are refused by name."""

from datetime import UTC, datetime

import pytest
from pydantic import TypeAdapter, ValidationError

from shared.runtime.http_app import QueryInstant

instants: TypeAdapter[datetime] = TypeAdapter(QueryInstant)


def test_an_instant_of_any_zone_is_given_in_utc() -> None:
    assert instants.validate_python("2026-01-01T00:30:00+01:00") == datetime(2025, 12, 31, 23, 30, tzinfo=UTC)
    assert instants.validate_python("2026-01-01T00:30:00+01:00").tzinfo is UTC


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+23:00", "9999-12-31T23:59:59-23:00", "2026-01-01T00:00:00"])
def test_what_utc_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        instants.validate_python(text)
