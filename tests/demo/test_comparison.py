"""One cent, one lost, one phantom, one duplicate: the comparison sees each."""

from dataclasses import replace
from typing import Any

from tests.demo.comparison import balance_differences, find_differences
from tests.demo.model import Model
from tests.demo.observed import Observed
from tests.demo.test_model import CLICK_ID, ORDER, Story


def _model() -> Model:
    story = Story()
    story.click(10.0)
    story.report(12.0, ORDER, 201, status="pending")
    return Model(story.story)


def _euros(amount: str) -> dict[str, str]:
    return {"amount": amount, "currency": "EUR"}


def _statement(amount: str, *sections: tuple[str, str]) -> dict[str, Any]:
    return {
        "currency": "EUR",
        "opening": "0.00",
        "closing": amount,
        "sections": [{"name": name, "closing": closing} for name, closing in sections],
        "lines": [{"transaction_id": "t", "kind": "accrual", "conversion_id": "c", "amount": amount}],
    }


def _rows(amount: str) -> list[dict[str, str]]:
    line = {"row": "line", "transaction_id": "t", "kind": "accrual", "amount": amount}
    return [{"row": "opening", "amount": "0.00"}, line, {"row": "closing", "amount": amount}]


def _observed() -> Observed:
    conversion = {
        "id": "c",
        "status": "pending",
        "event": "sale",
        "merchant_id": 7,
        "affiliate_id": 3,
        "offer_id": 1,
        "order_id": "A1",
        "click_id": CLICK_ID,
        "order_amount": _euros("100.00"),
        "net_amount": _euros("100.00"),
        "subs": {"sub1": "blog"},
    }
    return Observed(
        conversions={7: [conversion]},
        receipts={7: [{"id": "r", "order_id": "A1"}]},
        clicks={3: [{"click_id": CLICK_ID, "is_robot": False}]},
        affiliate_conversions={3: [conversion]},
        commissions={3: [{"conversion_id": "c", "amount": _euros("8.25")}]},
        balances={3: [{"currency": "EUR", "pending": _euros("8.25"), "payable": _euros("0.00")}]},
        statements={(3, "EUR"): _statement("8.25", ("pending", "8.25"), ("payable", "0.00"))},
        statement_rows={(3, "EUR"): _rows("8.25")},
        merchant_statements={(7, "EUR"): _statement("10.00", ("receivable", "10.00"), ("prepaid", "0.00"))},
        merchant_statement_rows={(7, "EUR"): _rows("10.00")},
        trial_balance=[{"total": _euros("0.00")}],
    )


def _differences(**changes: Any) -> list[str]:
    observed = replace(_observed(), **changes)
    model = _model()
    return [*find_differences(model, observed), *balance_differences(model, observed.balances)]


def test_what_agrees_has_no_differences() -> None:
    assert _differences() == []


def test_one_cent_is_seen_wherever_it_is() -> None:
    (balance,) = _observed().balances[3]
    assert _differences(balances={3: [{**balance, "pending": _euros("8.26")}]})
    assert _differences(commissions={3: [{"conversion_id": "c", "amount": _euros("8.24")}]})
    assert _differences(statements={(3, "EUR"): _statement("8.26", ("pending", "8.26"), ("payable", "0.00"))})
    assert _differences(statement_rows={(3, "EUR"): _rows("8.24")})
    assert _differences(
        merchant_statements={(7, "EUR"): _statement("10.01", ("receivable", "10.01"), ("prepaid", "0.00"))}
    )
    assert _differences(trial_balance=[{"total": _euros("0.01")}])


def test_lost_phantom_duplicate_and_wrong_are_told_apart() -> None:
    (conversion,) = _observed().conversions[7]
    other = {**conversion, "id": "d"}

    assert any(text.startswith("lost: conversion") for text in _differences(conversions={7: []}))
    assert any(text.startswith("phantom: conversion") for text in _differences(conversions={7: [conversion, other]}))
    assert any(
        text.startswith("duplicate: 2 conversions") for text in _differences(conversions={7: [conversion, other]})
    )
    assert any(
        "status" in text or "is held" in text
        for text in _differences(conversions={7: [{**conversion, "status": "held"}]})
    )
    assert any(text.startswith("lost: click") for text in _differences(clicks={3: []}))
    assert any(text.startswith("lost: receipt") for text in _differences(receipts={7: []}))
    assert any(text.startswith("lost: no commission") for text in _differences(commissions={3: []}))
