"""Amounts and rates of a version's terms, judged where they stand."""

from collections.abc import Collection
from decimal import Decimal
from typing import Final

from services.gateway.domain.term_drafts import AmountText
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, MoneyInvalid, parse_money, parse_rate_percent

RATE_PERCENT_MAX: Final = 1_000
"""Of rates that may exceed their order: what is more is a typing error."""


def read_money(text: AmountText, path: str, *, currency: str | None) -> Money:
    """The money at `path`, of `currency` where that is known. Raises InvalidValue naming its amount or currency."""
    try:
        money = parse_money(*text, field="amount")
    except MoneyInvalid as fault:
        raise InvalidValue(f"{path}.{fault.field}", fault.code, fault.message) from None
    if currency is not None and money.currency != currency:
        raise InvalidValue(
            f"{path}.currency", "currency_mismatch", f"must be {currency}, as everything it adds up with"
        )
    return money


def read_rate(text: str, path: str) -> Decimal:
    """The percentage at `path`; whether it may be over 100 there, `rate_rules` judges. Raises InvalidValue."""
    return parse_rate_percent(text, field=path, percent_max=RATE_PERCENT_MAX)


def check_count(path: str, given: int, least: int, most: int, *, of: str) -> None:
    """Raises InvalidValue where a list is too short or too long."""
    if not least <= given <= most:
        raise InvalidValue(path, "too_many" if given > most else "too_few", f"has {least} to {most} {of}")


def check_range(path: str, value: int, least: int, most: int) -> None:
    """Raises InvalidValue where a number is outside `least` to `most`."""
    if not least <= value <= most:
        raise InvalidValue(path, "out_of_range", f"must be from {least} to {most}")


def check_one_of(path: str, value: str, known: Collection[str]) -> None:
    """Raises InvalidValue where a word is not among the known ones."""
    if value not in known:
        raise InvalidValue(path, "word_unknown", f"must be one of {', '.join(sorted(known))}")
