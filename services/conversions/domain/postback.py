"""One validator for all three ways in: what a postback says, or which field is wrong with it."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import orjson

from services.conversions.domain.facts import (
    ITEMS_MAX,
    NO_FACTS,
    Facts,
    customer_status_of,
    parse_country,
    parse_part,
    read_items,
)
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, is_currency, parse_money
from shared.kernel.personal_values import Screen, may_be_personal, personal_kind

EVENT_DEFAULT: Final = "sale"
EVENT_REFUND: Final = "refund"
"""What an adjustment may call itself; no order, and no term of an offer, has this event."""

SUBS: Final = tuple(f"sub{number}" for number in range(1, 11))
ITEMS_CHARACTERS_MAX: Final = 8_000
CLICK_ID_CHARACTERS_MAX: Final = 256
"""Beyond this it is refused unread; a click ID has 56."""

_TEXT_LIMITS: Final = {"order_id": 64, "adjustment_id": 64, "coupon": 64, "customer_id": 128, "customer_status": 32}
_SUB_LIMIT: Final = 255
_EVENT = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)", re.ASCII)
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_REFUSED_CHARACTERS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffe\uffff")
_FLAGS: Final = {"1": True, "true": True, "0": False, "false": False}


@dataclass(frozen=True, slots=True)
class Postback:
    """What a merchant reports. event: None where it said none. amount: of the order, or the part taken back.

    click_id: its spelling, unverified. ordered_at: the merchant's own time of the order. items: canonical JSON.
    country, tax, shipping, discount: see Facts; of an order only, an adjustment's are ignored.
    as_sent: what it was before it was screened, to be compared with what an earlier version recorded so; never kept.
    """

    merchant_id: int
    event: str | None = None
    order_id: str | None = None
    adjustment_id: str | None = None
    click_id: str | None = None
    amount: Money | None = None
    ordered_at: datetime | None = None
    coupon: str | None = None
    customer_id: str | None = None
    customer_status: str | None = None
    items: str | None = None
    country: str | None = None
    tax: Money | None = None
    shipping: Money | None = None
    discount: Money | None = None
    subs: Mapping[str, str] | None = None
    is_test: bool = False
    as_sent: "Postback | None" = field(default=None, repr=False, compare=False)

    @property
    def is_adjustment(self) -> bool:
        """True when it takes something back from an order reported before."""
        return self.adjustment_id is not None

    @property
    def event_or_default(self) -> str:
        """The event, `sale` where none was given."""
        return self.event or EVENT_DEFAULT

    @property
    def facts(self) -> Facts:
        """What terms may price by: of an order as it is kept, so after it was screened."""
        parts = (self.country, self.tax, self.shipping, self.discount, self.customer_status, self.items)
        if not any(part is not None for part in parts):
            return NO_FACTS
        return Facts(
            country=self.country,
            tax=self.tax,
            shipping=self.shipping,
            discount=self.discount,
            customer_status=customer_status_of(self.customer_status),
            items=read_items(self.items, self.amount),
        )

    def content_hash(self, *, with_click_id: bool = True, with_facts: bool = True) -> bytes:
        """SHA-256 of what was reported, without transport, time of sending and signature.

        The click ID counts in its canonical spelling, so that a change of case is no other content. Country, tax,
        shipping and discount count only where one was sent: other reports keep the hash they always had.
        with_facts False: as they counted while they were unknown fields, which is not at all.
        """
        amount = None if self.amount is None else [self.amount.amount_minor, self.amount.currency]
        content: list[object] = [
            self.event_or_default if self.adjustment_id is None else self.event,
            self.order_id,
            self.adjustment_id,
            self.click_id.lower() if with_click_id and self.click_id is not None else None,
            amount,
            None if self.ordered_at is None else self.ordered_at.isoformat(),
            self.coupon,
            self.customer_id,
            self.customer_status,
            self.items,
            sorted(self.subs.items()) if self.subs else [],
        ]
        parts = (self.tax, self.shipping, self.discount)
        facts = [self.country, *(None if part is None else part.amount_minor for part in parts)]
        if with_facts and any(fact is not None for fact in facts):
            content.append(facts)
        return hashlib.sha256(orjson.dumps(content)).digest()

    def is_content_of(self, recorded_hash: bytes, *, with_click_id: bool = True, with_facts: bool = True) -> bool:
        """True when `recorded_hash` is of this report: as it is kept now, or as it was before values were screened.

        with_facts False: it was recorded while country, tax, shipping and discount were unknown fields.
        """
        spoken = (self,) if self.as_sent is None else (self, self.as_sent)
        hashes = (report.content_hash(with_click_id=with_click_id, with_facts=with_facts) for report in spoken)
        return recorded_hash in hashes

    @property
    def adjustment_ids(self) -> tuple[str, ...]:
        """The adjustment id, and what it was before it was screened: under one of them it may be recorded."""
        spoken = (self,) if self.as_sent is None else (self, self.as_sent)
        return tuple({report.adjustment_id for report in spoken if report.adjustment_id is not None})


def parse_postback(fields: Mapping[str, Any], merchant_id: int) -> Postback:
    """The postback in `fields`: text from a query or a form, values of strict JSON. Unknown fields are ignored.

    An empty text counts as absent, since templates leave empty what they cannot fill. Raises InvalidValue or
    MoneyInvalid naming the field.
    """
    order_id, adjustment_id = _text(fields, "order_id"), _text(fields, "adjustment_id")
    click_id, event = _click_id(fields), _event(fields)
    if event == EVENT_REFUND and adjustment_id is None:
        # As an order of its own it would take nothing back, and leave later refunds of the order ambiguous.
        raise InvalidValue("adjustment_id", "adjustment_id_required", "is required with the event refund")
    if adjustment_id is not None and order_id is None:
        raise InvalidValue("order_id", "order_id_required", "is required with adjustment_id")
    if order_id is None and click_id is None:
        raise InvalidValue("order_id", "order_id_or_click_id_required", "give an order_id or a click_id")
    subs = {name: value for name in SUBS if (value := _text(fields, name, _SUB_LIMIT)) is not None}
    amount = _amount(fields)
    of_order: Mapping[str, Any] = fields if adjustment_id is None else {}
    return Postback(
        merchant_id=merchant_id,
        event=event,
        order_id=order_id,
        adjustment_id=adjustment_id,
        click_id=click_id,
        amount=amount,
        ordered_at=_instant(fields, "occurred_at"),
        coupon=_text(fields, "coupon"),
        customer_id=_text(fields, "customer_id"),
        customer_status=_text(fields, "customer_status"),
        items=_items(fields),
        country=parse_country(of_order),
        tax=parse_part(of_order, "tax", amount),
        shipping=parse_part(of_order, "shipping", amount),
        discount=parse_part(of_order, "discount", amount),
        subs=subs or None,
        is_test=_flag(fields, "test"),
    )


def screen_postback(postback: Postback, screen: Screen) -> Postback:
    """The postback as it may be kept: values that look personal replaced, the customer always (ADR 0009).

    Before anything is compared or stored, so that a repeat of the same report is the same content.
    """
    customer = postback.customer_id
    if customer is None and not may_be_personal(_texts(postback)):
        return postback
    screened = (
        screen.optional(postback.order_id),
        screen.optional(postback.adjustment_id),
        screen.optional(postback.coupon),
        None if customer is None else screen.customer(merchant_id=postback.merchant_id, reference=customer),
        screen.optional(postback.customer_status),
        None if postback.items is None else _screen_items(postback.items, screen),
        screen.mapping(postback.subs) if postback.subs else None,
    )
    order_id, adjustment_id, coupon, customer_id, customer_status, items, subs = screened
    return replace(
        postback,
        order_id=order_id,
        adjustment_id=adjustment_id,
        coupon=coupon,
        customer_id=customer_id,
        customer_status=customer_status,
        items=items,
        subs=subs,
        as_sent=postback,
    )


def _texts(postback: Postback) -> Iterable[str]:
    named = (postback.order_id, postback.adjustment_id, postback.coupon, postback.customer_status, postback.items)
    return (*filter(None, named), *(postback.subs or {}).values())


def _screen_items(items: str, screen: Screen) -> str:
    """Items without personal values: of a list each value alone; all of another text, or where that is not enough."""
    if personal_kind(items) is None:
        return items
    try:
        listed = json.loads(items)
        screened = [{screen.text(name): _screen_part(part, screen) for name, part in item.items()} for item in listed]
        kept = json.dumps(screened, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    except (ValueError, AttributeError, TypeError, RecursionError):
        return screen.text(items)
    is_clean = personal_kind(kept) is None and len(kept) <= ITEMS_CHARACTERS_MAX
    return kept if is_clean else screen.text(items)


def _screen_part(part: Any, screen: Screen) -> Any:
    spelling = str(part) if isinstance(part, str | int) else ""
    return part if personal_kind(spelling) is None else screen.text(spelling)


def refused_character(text: str) -> bool:
    """True when `text` holds a control character, half a character, a line separator or a direction override."""
    if text.isascii():
        return not text.isprintable()
    return any(c in _REFUSED_CHARACTERS or unicodedata.category(c) in _REFUSED_CATEGORIES for c in text)


def _text(fields: Mapping[str, Any], name: str, limit: int | None = None) -> str | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    if type(value) is int and name in ("order_id", "adjustment_id", "customer_id"):
        value = str(value)
    if not isinstance(value, str):
        raise InvalidValue(name, "text_expected", "must be text")
    characters_max = limit if limit is not None else _TEXT_LIMITS[name]
    if len(value) > characters_max:
        raise InvalidValue(name, "text_too_long", f"has at most {characters_max} characters")
    if refused_character(value):
        raise InvalidValue(name, "text_control_character", "must not hold control characters")
    if value != value.strip():
        raise InvalidValue(name, "text_not_trimmed", "must not begin or end with a blank")
    return value


def _click_id(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("click_id")
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidValue("click_id", "text_expected", "must be text")
    if len(value) > CLICK_ID_CHARACTERS_MAX:
        raise InvalidValue("click_id", "text_too_long", "has 56 characters")
    return value


def _event(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("event")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _EVENT.fullmatch(value):
        raise InvalidValue("event", "event_malformed", "must be 1 to 32 of a-z, 0-9 and _")
    return value


def _amount(fields: Mapping[str, Any]) -> Money | None:
    amount, currency = fields.get("amount"), fields.get("currency")
    amount = None if amount == "" else amount
    currency = None if currency == "" else currency
    if currency is not None and not (isinstance(currency, str) and is_currency(currency)):
        raise InvalidValue("currency", "currency_unknown", "must be an upper-case ISO 4217 code such as EUR")
    if amount is None:
        return None
    if type(amount) is int or isinstance(amount, Decimal):
        amount = str(amount)
    if not isinstance(amount, str):
        raise InvalidValue("amount", "amount_malformed", "must be a plain decimal, such as 12.34")
    if currency is None:
        raise InvalidValue("currency", "currency_required", "is required with an amount")
    return parse_money(amount, currency)


def _instant(fields: Mapping[str, Any], name: str) -> datetime | None:
    value = fields.get(name)
    if value is None or value == "":
        return None
    fault = InvalidValue(name, "instant_malformed", "must be a time with its zone such as 2026-01-31T12:00:00Z")
    if not isinstance(value, str) or not _INSTANT.fullmatch(value):
        raise fault
    try:
        instant = datetime.fromisoformat(value).astimezone(UTC)
    except (ValueError, OverflowError):
        raise fault from None
    if not 2000 <= instant.year <= 2100:
        raise InvalidValue(name, "instant_out_of_range", "must lie between the years 2000 and 2100")
    return instant


def _flag(fields: Mapping[str, Any], name: str) -> bool:
    value = fields.get(name)
    if value is None or value == "":
        return False
    if isinstance(value, bool):
        return value
    flag = _FLAGS.get(str(value)) if isinstance(value, str) or type(value) is int else None
    if flag is None:
        raise InvalidValue(name, "flag_malformed", "must be 0 or 1")
    return flag


def _items(fields: Mapping[str, Any]) -> str | None:
    value = fields.get("items")
    if value is None or value == "":
        return None
    if isinstance(value, list):
        if len(value) > ITEMS_MAX or not all(isinstance(item, dict) for item in value):
            raise InvalidValue("items", "items_malformed", f"is a list of at most {ITEMS_MAX} objects")
        for item in value:
            for name, part in item.items():
                _check_item_part(name)
                _check_item_part(part)
        value = json.dumps(value, separators=(",", ":"), sort_keys=True, default=str, ensure_ascii=False)
    if not isinstance(value, str) or refused_character(value):
        raise InvalidValue("items", "items_malformed", "must be a list of objects, or text without control characters")
    if len(value) > ITEMS_CHARACTERS_MAX:
        raise InvalidValue("items", "items_too_long", f"has at most {ITEMS_CHARACTERS_MAX} characters")
    return value


def _check_item_part(part: Any) -> None:
    if isinstance(part, str):
        if refused_character(part):
            raise InvalidValue("items", "text_control_character", "must not hold control characters")
    elif part is not None and not isinstance(part, int | Decimal):
        raise InvalidValue("items", "items_malformed", "holds text and numbers only")
