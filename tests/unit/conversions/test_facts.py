"""What terms may price by: parsed from what was sent, never at the price of the order itself."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conversions.domain.facts import ITEM_QUANTITY_MAX, NO_FACTS, Facts, Item, read_items
from services.conversions.domain.postback import Postback, parse_postback, screen_postback
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money
from shared.kernel.personal_values import Screen

EUR_100 = {"amount": "100.00", "currency": "EUR"}
PARTS = ["tax", "shipping", "discount"]
LINE = {"sku": "A-1", "category": "shoes", "quantity": 2, "amount": "40.00"}


def parse(**fields: Any) -> Postback:
    return parse_postback({"order_id": "o1", **EUR_100, **fields}, 7)


def fault_of(**fields: Any) -> tuple[str, str]:
    with pytest.raises(InvalidValue) as fault:
        parse(**fields)
    return fault.value.field, fault.value.code


def items_of(items: Any) -> tuple[Item, ...]:
    return parse(items=items).facts.items


def test_an_order_without_them_has_none() -> None:
    assert parse().facts == NO_FACTS


def test_every_fact_is_kept_in_the_order_s_currency() -> None:
    facts = parse(tax="19", shipping=Decimal("4.90"), discount=10, country="de", customer_status="New").facts

    assert facts == Facts(
        country="DE",
        tax=Money(1900, "EUR"),
        shipping=Money(490, "EUR"),
        discount=Money(1000, "EUR"),
        customer_status="new",
    )


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ("100.01", "part_exceeds_amount"),
        ("-1", "amount_malformed"),
        ("1e1", "amount_malformed"),
        ("1.999", "amount_too_precise"),
        (True, "amount_malformed"),
        ([1], "amount_malformed"),
    ],
)
def test_a_part_that_is_none_of_the_order_is_refused_by_its_name(name: str, sent: Any, code: str) -> None:
    assert fault_of(**{name: sent}) == (name, code)


@pytest.mark.parametrize("name", PARTS)
def test_a_part_needs_its_amount_and_may_be_all_of_it(name: str) -> None:
    assert fault_of(**{name: "1", "amount": "", "currency": ""}) == (name, "amount_required")
    assert getattr(parse(**{name: "100.00"}).facts, name) == Money(10000, "EUR")
    assert getattr(parse(**{name: ""}).facts, name) is None


@pytest.mark.parametrize("country", ["XX", "D", "DEU", "Germany", "dé", "ıt", 49, True, "ẞE"])
def test_what_is_no_country_is_refused_by_its_name(country: Any) -> None:
    assert fault_of(country=country) == ("country", "country_unknown")


@pytest.mark.parametrize(
    ("sent", "known"), [("new", "new"), ("RETURNING", "returning"), ("existing", None), ("", None), ("new!", None)]
)
def test_a_customer_status_of_another_word_is_kept_but_no_fact(sent: str, known: str | None) -> None:
    postback = parse(customer_status=sent)

    assert postback.facts.customer_status == known
    assert postback.customer_status == (sent or None)


@pytest.mark.parametrize("wrap", [lambda items: items, json.dumps])
def test_well_formed_items_become_lines_whether_they_come_as_a_list_or_as_text(wrap: Any) -> None:
    assert items_of(wrap([LINE, {"sku": 17, "amount": "60"}])) == (
        Item("A-1", "shoes", 2, Money(4000, "EUR")),
        Item("17", None, 1, Money(6000, "EUR")),
    )


def test_lines_may_leave_out_what_they_do_not_know_and_say_more() -> None:
    line = {"category": "shoes", "quantity": None, "amount": "", "colour": "red"}

    assert items_of([line]) == (Item(category="shoes"),)


@pytest.mark.parametrize(
    "items",
    [
        "3 shoes",
        "[",
        "{}",
        "[1]",
        "[[]]",
        "[" * 3000,
        json.dumps([LINE] * 51),
        '[{"sku":{"deep":1}}]',
        '[{"amount":1e400}]',
        '[{"amount":NaN}]',
        '[{"quantity":1.5}]',
        '[{"quantity":true}]',
        '[{"quantity":0}]',
        json.dumps([{"quantity": ITEM_QUANTITY_MAX + 1}]),
        json.dumps([LINE, {"amount": "-1"}]),
        json.dumps([LINE, {"amount": "0.001"}]),
        json.dumps([LINE, {"sku": "x" * 65}]),
        json.dumps([LINE, {"sku": " x"}]),
    ],
)
def test_items_that_cannot_be_read_are_kept_as_before_and_price_nothing(items: str) -> None:
    postback = parse(items=items)

    assert postback.items == items
    assert postback.facts.items == ()


def test_items_worth_more_than_the_order_are_no_lines_of_it() -> None:
    assert len(items_of([LINE, {"amount": "60.00"}])) == 2
    assert items_of([LINE, {"amount": "60.01"}]) == ()


def test_items_need_an_order_with_an_amount() -> None:
    assert read_items(json.dumps([LINE]), None) == ()


def test_a_personal_value_in_a_line_is_screened_before_it_is_a_fact() -> None:
    screen = Screen(b"s" * 32)
    postback = screen_postback(parse(items=[LINE | {"sku": "jo@mail.example"}]), screen)

    assert postback.facts.items[0].sku == screen.text("jo@mail.example")


def test_an_adjustment_has_no_facts_and_is_not_judged_by_them() -> None:
    refund = {"adjustment_id": "r1", "country": "nowhere", "tax": "1000", "shipping": "x"}

    assert parse(**refund).content_hash() == parse(adjustment_id="r1").content_hash()


def test_what_was_recorded_before_there_were_facts_keeps_its_hash() -> None:
    fields = {"coupon": "AUTUMN", "customer_id": "c", "customer_status": "new", "items": "[]", "sub1": "a"}

    plain = parse_postback({"order_id": "A-1"}, 7).content_hash().hex()
    full = parse(**fields, click_id="abc", occurred_at="2026-11-24T12:00:00Z").content_hash().hex()

    assert plain == "0410299bed4a4d1ca90a01be45d6e6757b1e078067940b07802ff086236e116f"
    assert full == "91703237b2aa62221ff6b6917319c07e214ecc7b9d7b505b256155f780edbb3e"


@given(st.sampled_from([*PARTS, "country"]), st.booleans())
def test_content_tells_every_fact_apart_where_it_counts(name: str, with_click_id: bool) -> None:
    values = ("DE", "FR") if name == "country" else ("1", "2")
    one, two = (parse(**{name: value}) for value in values)
    hashes = {report.content_hash(with_click_id=with_click_id) for report in (one, two, parse())}

    assert len(hashes) == 3
    assert one.is_content_of(parse().content_hash(), with_facts=False)
    assert not one.is_content_of(parse().content_hash())


def test_facts_of_one_name_are_not_those_of_another() -> None:
    assert len({parse(**{name: "1"}).content_hash() for name in PARTS}) == 3
