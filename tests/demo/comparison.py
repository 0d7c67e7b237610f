"""Platform against model: lost, phantom, duplicate and wrong, and every amount to the minor unit."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from tests.demo.amounts import minor_of, text_of
from tests.demo.expected import ExpectedConversion, affiliate_totals
from tests.demo.model import Model
from tests.demo.network import PROBE_ORDER
from tests.demo.observed import Items, Observed
from tests.demo.statement_comparison import statement_differences


def find_differences(model: Model, observed: Observed) -> list[str]:
    """Everything in which the platform differs from the model, wrong answers first; empty when it is right."""
    return [
        *model.problems,
        *_conversions(model, observed),
        *_affiliates_see(model, observed),
        *_clicks(model, observed),
        *_commissions(model, observed),
        *_receipts(model, observed),
        *statement_differences(model, observed),
        *_trial_balance(observed),
    ]


def balance_differences(model: Model, balances: Mapping[int, Items]) -> list[str]:
    """What the balances say that the model does not: the quick look while things settle."""
    totals = affiliate_totals(list(model.conversions.values()))
    expected = {key: (_text(t.pending, key[1]), _text(t.payable, key[1])) for key, t in totals.items()}
    found = {
        (affiliate_id, row["currency"]): (row["pending"]["amount"], row["payable"]["amount"])
        for affiliate_id, rows in balances.items()
        for row in rows
    }
    nothing = {
        key
        for key, amounts in found.items()
        if key not in expected and not any(minor_of(amount, key[1]) for amount in amounts)
    }
    return list(_unequal("balance of affiliate", expected, {k: v for k, v in found.items() if k not in nothing}))


def _conversions(model: Model, observed: Observed) -> Iterator[str]:
    """lost = expected − stored, phantom = stored − expected, duplicate = a key stored twice, wrong = another state."""
    stored = [row for rows in observed.conversions.values() for row in rows]
    by_id = {row["id"]: row for row in stored}
    expected = {c.conversion_id: c for c in model.conversions.values() if c.conversion_id is not None}
    for conversion_id in expected.keys() - by_id.keys():
        yield f"lost: conversion {conversion_id} of {expected[conversion_id].key} was acknowledged and is not there"
    for conversion_id in by_id.keys() - expected.keys():
        yield f"phantom: conversion {conversion_id} ({by_id[conversion_id]['order_id']}) was never acknowledged"
    keys = Counter(_key_of(row) for row in stored)
    for key, count in keys.items():
        if count > 1:
            yield f"duplicate: {count} conversions of {key}"
    for conversion_id in expected.keys() & by_id.keys():
        yield from _wrong(expected[conversion_id], by_id[conversion_id])


def _wrong(conversion: ExpectedConversion, row: Mapping[str, Any]) -> Iterator[str]:
    click = conversion.click
    expected = {
        "order_id": conversion.order_id,
        "event": conversion.event,
        "merchant_id": conversion.key[0],
        "affiliate_id": click.affiliate_id if click else None,
        "offer_id": click.offer_id if click else None,
        "click_id": click.click_id if click else None,
        "order_amount": _money(conversion.order_minor, conversion.currency),
        "net_amount": _money(conversion.net_minor, conversion.currency),
    }
    if row["status"] not in conversion.settled:
        yield f"wrong: conversion {row['id']} of {conversion.key} is {row['status']}, not {set(conversion.settled)}"
    for name, value in expected.items():
        if row[name] != value:
            yield f"wrong: conversion {row['id']} of {conversion.key}: {name} is {row[name]}, not {value}"
    if click is not None and row["subs"].get("sub1") != click.sub1:
        yield f"wrong: conversion {row['id']} of {conversion.key}: sub1 is {row['subs']}, not {click.sub1}"


def _affiliates_see(model: Model, observed: Observed) -> Iterator[str]:
    """Each affiliate sees the conversions of its clicks, rejected ones too, and nobody else's."""
    expected: dict[int, set[str | None]] = {affiliate_id: set() for affiliate_id in observed.affiliate_conversions}
    for conversion in model.conversions.values():
        if conversion.click is not None:
            expected[conversion.click.affiliate_id].add(conversion.conversion_id)
    for affiliate_id, rows in observed.affiliate_conversions.items():
        seen = {row["id"] for row in rows}
        if seen != expected[affiliate_id]:
            yield f"affiliate {affiliate_id} sees {len(seen)} conversions, not {len(expected[affiliate_id])}"


def _clicks(model: Model, observed: Observed) -> Iterator[str]:
    """Every click answered with a click ID is in the log once; what nobody answered may be there."""
    for affiliate_id, rows in observed.clicks.items():
        logged = Counter(row["click_id"] for row in rows)
        given = {click.click_id for click in model.clicks.values() if click.affiliate_id == affiliate_id}
        for click_id in given - logged.keys():
            yield f"lost: click {click_id} of affiliate {affiliate_id}"
        more = sum(logged.values()) - len(given)
        if more > model.unknown_clicks.get(affiliate_id, 0):
            yield f"phantom: affiliate {affiliate_id} has {more} clicks in the log that nobody made"
        for row in rows:
            click = model.clicks.get(row["click_id"])
            if click is not None and row["is_robot"] != click.is_robot:
                yield f"wrong: click {row['click_id']} is_robot {row['is_robot']}"


def _commissions(model: Model, observed: Observed) -> Iterator[str]:
    """Every commission belongs to exactly one credited conversion, and has its amount."""
    rows = {row["conversion_id"]: row for items in observed.commissions.values() for row in items}
    count = sum(len(items) for items in observed.commissions.values())
    if count != len(rows):
        yield f"duplicate: {count} commissions for {len(rows)} conversions"
    expected = {c.conversion_id: c for c in model.conversions.values() if c.was_credited}
    for conversion_id in expected.keys() - rows.keys():
        yield f"lost: no commission for conversion {conversion_id} of {expected[conversion_id].key}"
    for conversion_id in rows.keys() - expected.keys():
        yield f"phantom: a commission for conversion {conversion_id}, which earns nothing"
    for conversion_id in expected.keys() & rows.keys():
        earning = expected[conversion_id].earning()
        assert earning is not None
        amount = _money(earning.commission_minor, earning.currency)
        if rows[conversion_id]["amount"] != amount:
            yield f"wrong: commission of {expected[conversion_id].key}: {rows[conversion_id]['amount']}, not {amount}"


def _receipts(model: Model, observed: Observed) -> Iterator[str]:
    """Every answer's receipt is there; an attempt that got no answer may have left one more."""
    for merchant_id, rows in observed.receipts.items():
        stored = {row["id"] for row in rows if row["order_id"] != PROBE_ORDER}
        answered = model.receipts.get(merchant_id, [])
        for receipt_id in set(answered) - stored:
            yield f"lost: receipt {receipt_id} of merchant {merchant_id}"
        unknown = model.unknown_postbacks.get(merchant_id, 0)
        if not len(answered) <= len(stored) <= len(answered) + unknown:
            yield f"merchant {merchant_id} has {len(stored)} receipts for {len(answered)} answers, {unknown} unanswered"


def _trial_balance(observed: Observed) -> Iterator[str]:
    for row in observed.trial_balance:
        if row["total"]["amount"].strip("-0."):
            yield f"trial balance: {row}"


def _key_of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    return row["merchant_id"], row["event"], row["order_id"] or f"click:{row['click_id']}"


def _money(amount_minor: int | None, currency: str | None) -> dict[str, str] | None:
    if amount_minor is None or currency is None:
        return None
    return {"amount": text_of(amount_minor, currency), "currency": currency}


def _text(amount_minor: int, currency: str) -> str:
    return text_of(amount_minor, currency)


def _unequal(what: str, expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> Iterator[str]:
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            yield f"{what} {key}: {found.get(key)}, not {expected.get(key)}"
