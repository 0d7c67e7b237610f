"""A conversion as columns, both ways."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import orjson

from services.conversions.domain.conversion import ClickDetails, Conversion
from services.conversions.domain.facts import NO_FACTS, Facts, Item
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.transitions import Status
from shared.kernel.money import Money

_Column = tuple[str, str, Callable[[Conversion], Any]]

_IDENTITY: Final[tuple[_Column, ...]] = (
    ("id", "uuid", lambda c: c.id),
    ("merchant_id", "int", lambda c: c.merchant_id),
    ("event", "text", lambda c: c.event),
    ("dedupe_key", "text", lambda c: c.dedupe_key),
    ("first_received_at", "timestamptz", lambda c: c.first_received_at),
    ("first_receipt_id", "uuid", lambda c: c.first_receipt_id),
    ("first_outcome", "int", lambda c: int(c.first_outcome)),
    ("first_status", "text", lambda c: c.first_status.value),
    ("content_hash", "bytea", lambda c: c.content_hash),
    ("clickless_hash", "bytea", lambda c: c.clickless_hash),
    ("is_batch", "boolean", lambda c: c.is_batch),
    ("order_id", "text", lambda c: c.order_id),
    ("currency", "text", lambda c: None if c.order_amount is None else c.order_amount.currency),
    ("order_amount_minor", "bigint", lambda c: None if c.order_amount is None else c.order_amount.amount_minor),
    ("ordered_at", "timestamptz", lambda c: c.ordered_at),
    ("coupon", "text", lambda c: c.coupon),
    ("customer_id", "text", lambda c: c.customer_id),
    ("customer_status", "text", lambda c: c.customer_status),
    ("items", "text", lambda c: c.items),
    ("merchant_subs", "jsonb", lambda c: as_json(c.merchant_subs) if c.merchant_subs else None),
    ("facts", "jsonb", lambda c: facts_json(c.facts)),
)
_STATE: Final[tuple[_Column, ...]] = (
    ("version", "int", lambda c: c.version),
    ("status", "text", lambda c: c.status.value),
    ("outcome", "int", lambda c: int(c.outcome)),
    ("changed_at", "timestamptz", lambda c: c.changed_at),
    ("click_id", "bytea", lambda c: c.click_id),
    ("clicked_at", "timestamptz", lambda c: c.clicked_at),
    ("click_flags", "int", lambda c: c.click_flags),
    ("offer_id", "int", lambda c: c.offer_id),
    ("offer_version", "int", lambda c: c.offer_version),
    ("affiliate_id", "int", lambda c: c.affiliate_id),
    ("attributed_by", "text", lambda c: c.attributed_by),
    ("net_amount_minor", "bigint", lambda c: None if c.net_amount is None else c.net_amount.amount_minor),
    ("approve_at", "timestamptz", lambda c: c.approve_at),
    ("customer_first_at", "timestamptz", lambda c: c.customer_first_at),
    ("reason_code", "text", lambda c: c.reason_code),
    ("has_details", "boolean", lambda c: c.details is not None),
    ("subs", "jsonb", lambda c: None if c.details is None else as_json(c.details.subs)),
    ("aff_click_id", "text", lambda c: None if c.details is None else c.details.aff_click_id),
    ("source", "text", lambda c: None if c.details is None else c.details.source),
    ("creative", "text", lambda c: None if c.details is None else c.details.creative),
)


def as_json(value: Any) -> str:
    """`value` as the text of a jsonb parameter."""
    return orjson.dumps(value).decode("utf-8") if value else "{}"


def facts_json(facts: Facts | None) -> str | None:
    """The facts as the column holds them, amounts in minor units of the order's currency; None where there are none."""
    if facts is None or facts == NO_FACTS:
        return None
    amounts = {name: getattr(facts, name) for name in _FACT_AMOUNTS}
    plain = {name: getattr(facts, name) for name in _FACT_TEXTS}
    kept = {name: amount.amount_minor for name, amount in amounts.items() if amount is not None}
    items = [_kept_item(item) for item in facts.items]
    known = {name: value for name, value in plain.items() if value is not None} | kept
    if items:
        known["items"] = items
    if facts.quantity != NO_FACTS.quantity:
        known["quantity"] = facts.quantity
    return as_json(known)


def _read_facts(kept: Mapping[str, Any] | None, currency: str | None) -> Facts | None:
    """The facts in the column. None: recorded before there were any, so that they count for nothing in its content."""
    if not kept:
        return None if kept is None else NO_FACTS

    def money(amount_minor: int | None) -> Money | None:
        return None if amount_minor is None or currency is None else Money(amount_minor, currency)

    return Facts(
        country=kept.get("country"),
        customer_status=kept.get("customer_status"),
        tax=money(kept.get("tax")),
        shipping=money(kept.get("shipping")),
        discount=money(kept.get("discount")),
        items=tuple(
            Item(line.get("sku"), line.get("category"), line["quantity"], money(line.get("amount")))
            for line in kept.get("items", ())
        ),
        quantity=kept.get("quantity", NO_FACTS.quantity),
    )


def _kept_item(item: Item) -> dict[str, Any]:
    amount_minor = None if item.amount is None else item.amount.amount_minor
    line = {"sku": item.sku, "category": item.category, "quantity": item.quantity, "amount": amount_minor}
    return {name: value for name, value in line.items() if value is not None}


_FACT_TEXTS: Final = ("country", "customer_status")
_FACT_AMOUNTS: Final = ("tax", "shipping", "discount")


def _given(columns: Sequence[_Column]) -> str:
    """`unnest(…) AS given(…)`: the columns' arrays as rows. jsonb travels as text."""
    arrays = ", ".join(
        f"${place}::{'text' if kind == 'jsonb' else kind}[]" for place, (_, kind, _) in enumerate(columns, start=1)
    )
    return f"unnest({arrays}) AS given({', '.join(name for name, _, _ in columns)})"


ALL: Final = (*_IDENTITY, *_STATE)
"""Name, type and reader of every column."""

ERASED_COLUMNS: Final = "customer_id = NULL, customer_status = NULL, items = NULL, merchant_subs = '{}'"
"""What an erasure takes: in no event, and decided by nothing that follows."""

ERASED_NAMES: Final = frozenset({"customer_id", "customer_status", "items", "merchant_subs"})

_UPDATED: Final = (_IDENTITY[0], *_STATE)

UPDATE: Final = (
    "UPDATE conversion SET "  # noqa: S608
    + ", ".join(
        f"{name} = coalesce(given.{name}, '{{}}')::jsonb" if kind == "jsonb" else f"{name} = given.{name}"
        for name, kind, _ in _STATE
    )
    + f" FROM {_given(_UPDATED)} WHERE conversion.id = given.id"
)


def update_values(conversions: Sequence[Conversion]) -> tuple[list[Any], ...]:
    """The parameters of UPDATE."""
    return tuple([read(conversion) for conversion in conversions] for _, _, read in _UPDATED)


def read_conversion(row: Mapping[str, Any]) -> Conversion:
    """The conversion in a row of `SELECT *`."""
    currency = row["currency"]
    details = None
    if row["has_details"]:
        details = ClickDetails(row["subs"], row["aff_click_id"], row["source"], row["creative"])
    return Conversion(
        **{name: row[name] for name in _PLAIN},
        status=Status(row["status"]),
        outcome=Outcome(row["outcome"]),
        first_outcome=Outcome(row["first_outcome"]),
        first_status=Status(row["first_status"]),
        order_amount=None if currency is None else Money(row["order_amount_minor"], currency),
        net_amount=None if currency is None else Money(row["net_amount_minor"], currency),
        details=details,
        facts=_read_facts(row["facts"], currency),
    )


_TRANSLATED: Final = frozenset(
    {
        "status",
        "outcome",
        "first_outcome",
        "first_status",
        "currency",
        "order_amount_minor",
        "net_amount_minor",
        "has_details",
        "subs",
        "aff_click_id",
        "source",
        "creative",
        "facts",
    }
)
_PLAIN: Final = tuple(name for name, _, _ in ALL if name not in _TRANSLATED)
