"""Amounts and instants as people read them on paper. In English and UTC, whatever the machine's locale."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

from services.commissions.domain.statement import Statement
from shared.kernel.money import Money
from shared.kernel.period import Period

_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
MINUS: Final = "\N{MINUS SIGN}"


def amount_text(statement: Statement, amount_minor: int) -> str:
    """`1,234.56`, `−0.50`, `500` for yen."""
    plain = Money(abs(amount_minor), statement.currency).decimal_text()
    whole, point, fraction = plain.partition(".")
    return f"{MINUS if amount_minor < 0 else ''}{int(whole):,}{point}{fraction}"


def rate_text(rate_percent: Decimal) -> str:
    """`19`, `5.5`: without zeros that say nothing."""
    text = format(rate_percent, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def month_text(period: Period) -> str:
    """`November 2026`."""
    return f"{_MONTHS[period.month - 1]} {period.year}"


def span_text(period: Period) -> str:
    """`1 to 30 November 2026 (UTC)`."""
    days = (period.end - period.start).days
    return f"1 to {days} {month_text(period)} (UTC)"


def minute_text(instant: datetime) -> str:
    """`2026-11-03 14:05`, in UTC."""
    return instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def second_text(instant: datetime | None) -> str:
    """`2026-11-03 14:05:09 UTC`; `none` before the first block."""
    return "none" if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
