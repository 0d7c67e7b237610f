"""What an order says that terms may price by: where from, who, what of it is tax, shipping and discount, its lines."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

from shared.kernel.country import is_country
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, parse_money

ITEMS_MAX: Final = 50
ITEM_TEXT_CHARACTERS_MAX: Final = 64
"""Of a SKU or a category that terms can name."""

ITEM_QUANTITY_MAX: Final = 1_000_000
PARTS: Final = ("tax", "shipping", "discount")
CUSTOMER_STATUSES: Final = frozenset({"new", "returning"})


@dataclass(frozen=True, slots=True)
class Item:
    """One line of an order. amount: of the whole line, all its quantity, in the order's currency; None if unsaid."""

    sku: str | None = None
    category: str | None = None
    quantity: int = 1
    amount: Money | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What may decide a price; it stays when the customer is erased, since nothing of it is personal (ADR 0009).

    country: ISO 3166 alpha-2. tax, shipping, discount: parts of the order's amount, in its currency. customer_status:
    `new` or `returning`. items: empty where the list was absent, malformed, or worth more than the order. quantity:
    clicks of a bundle, 1 for everything else.
    """

    country: str | None = None
    tax: Money | None = None
    shipping: Money | None = None
    discount: Money | None = None
    customer_status: str | None = None
    items: tuple[Item, ...] = ()
    quantity: int = 1


NO_FACTS: Final = Facts()


def parse_country(fields: Mapping[str, Any]) -> str | None:
    """The country, in upper case. Raises InvalidValue."""
    value = fields.get("country")
    if value is None or value == "":
        return None
    country = value.upper() if isinstance(value, str) and value.isascii() else ""
    if not is_country(country):
        raise InvalidValue("country", "country_unknown", "must be an ISO 3166 code of two letters such as DE")
    return country


def parse_part(fields: Mapping[str, Any], name: str, amount: Money | None) -> Money | None:
    """A part of the order's amount, in its currency and at most as much. Raises InvalidValue or MoneyInvalid."""
    value = fields.get(name)
    if value is None or value == "":
        return None
    if type(value) is int or isinstance(value, Decimal):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidValue(name, "amount_malformed", "must be a plain decimal, such as 12.34")
    if amount is None:
        raise InvalidValue(name, "amount_required", "is part of an amount: give amount and currency too")
    part = parse_money(value, amount.currency, field=name)
    if part.amount_minor > amount.amount_minor:
        raise InvalidValue(name, "part_exceeds_amount", "must not be more than the amount")
    return part


def customer_status_of(text: str | None) -> str | None:
    """`new` or `returning`, in whatever case it was sent; None for anything else, which is kept but no fact."""
    status = None if text is None else text.lower()
    return status if status in CUSTOMER_STATUSES else None


def read_items(text: str | None, amount: Money | None) -> tuple[Item, ...]:
    """The lines in `text`; none unless it is a well-formed JSON list of them that sums to at most the order's amount.

    All or nothing: a line that cannot be read would let the others price more, or less, than was sold. Nothing is
    refused here, since an order is not worth less for the spelling of its lines.
    """
    if text is None or amount is None or not text.startswith("["):
        return ()
    try:
        listed = json.loads(text, parse_float=Decimal)
        items = tuple(_item(item, amount.currency) for item in listed)
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, InvalidValue):
        return ()
    is_within = sum(item.amount.amount_minor for item in items if item.amount) <= amount.amount_minor
    return items if is_within and len(items) <= ITEMS_MAX else ()


def _item(line: Mapping[str, Any], currency: str) -> Item:
    return Item(
        sku=_item_text(line.get("sku")),
        category=_item_text(line.get("category")),
        quantity=_quantity(line.get("quantity")),
        amount=_item_amount(line.get("amount"), currency),
    )


def _item_amount(value: Any, currency: str) -> Money | None:
    if value is None or value == "":
        return None
    if type(value) not in (str, int, Decimal):
        raise InvalidValue("items", "amount_malformed", "must be a plain decimal")
    return parse_money(str(value), currency)


def _quantity(value: Any) -> int:
    if value is None or value == "":
        return 1
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= 7:
        value = int(value)
    if type(value) is not int or not 1 <= value <= ITEM_QUANTITY_MAX:
        raise InvalidValue("items", "quantity_malformed", "must be a whole number from 1")
    return value


def _item_text(value: Any) -> str | None:
    if type(value) is int:
        value = str(value)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > ITEM_TEXT_CHARACTERS_MAX or value != value.strip():
        raise InvalidValue("items", "text_malformed", "must be short text")
    return value
