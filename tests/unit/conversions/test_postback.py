"""One validator: good postbacks mean the same whatever way they come, bad fields are named, nothing else escapes."""

import string
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conversions.domain.postback import Postback, parse_postback
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money

KNOWN = ["click_id", "event", "order_id", "adjustment_id", "amount", "currency", "occurred_at", "coupon"]
KNOWN += ["customer_id", "customer_status", "items", "test", "sub1"]
PLAIN = st.text(string.ascii_letters + string.digits + "-_. äß漢", min_size=1, max_size=40).map(str.strip).filter(bool)


def parse(**fields: Any) -> Postback:
    return parse_postback({"order_id": "o1", **fields}, 7)


def fault_of(**fields: Any) -> str:
    with pytest.raises(InvalidValue) as fault:
        parse(**fields)
    return fault.value.field


@given(st.dictionaries(st.sampled_from(KNOWN), st.none() | st.booleans() | st.integers() | st.decimals() | st.text()))
def test_whatever_comes_is_a_postback_or_a_named_field(fields: dict[str, Any]) -> None:
    try:
        named = parse_postback(fields, 7).merchant_id and "order_id"
    except InvalidValue as fault:
        named = fault.field

    assert named in KNOWN


@given(st.fixed_dictionaries({"order_id": PLAIN, "coupon": PLAIN, "sub1": PLAIN}))
def test_plain_text_is_kept_to_the_letter(fields: dict[str, str]) -> None:
    postback = parse_postback(fields, 7)

    assert (postback.order_id, postback.coupon) == (fields["order_id"], fields["coupon"])
    assert (postback.subs or {})["sub1"] == fields["sub1"]


@pytest.mark.parametrize(
    "amount",
    ["-1", "+1", "1e3", " 5 ", "1_000", "0x10", "١٢", "1,5", "1.234", "NaN", "", "9" * 30, True, [], Decimal("1E+2")],
)
def test_what_is_no_amount_is_refused(amount: Any) -> None:
    if amount == "":
        assert parse(amount=amount, currency="EUR").amount is None
    else:
        assert fault_of(amount=amount, currency="EUR") == "amount"


@pytest.mark.parametrize("currency", ["eur", "XXX1", "EURO", 978, True, "€"])
def test_what_is_no_currency_is_refused(currency: Any) -> None:
    assert fault_of(amount="1", currency=currency) == "currency"


def test_numbers_of_json_are_exact() -> None:
    assert parse(amount=Decimal("12.30"), currency="EUR").amount == Money(1230, "EUR")
    assert parse(amount=12, currency="JPY").amount == Money(12, "JPY")
    assert parse(amount="1.234", currency="KWD").amount == Money(1234, "KWD")
    assert fault_of(amount="1.5", currency="JPY") == "amount"


def test_limits_hold_at_their_last_character() -> None:
    for name, limit in (("order_id", 64), ("adjustment_id", 64), ("coupon", 64), ("customer_id", 128), ("sub10", 255)):
        parse(**{name: "x" * limit})
        assert fault_of(**{name: "x" * (limit + 1)}) == name
    parse(event="a" * 32)
    assert fault_of(event="a" * 33) == "event"


@pytest.mark.parametrize("text", ["a\x00b", "a\nb", "a\u2028b", "a\u202eb", "\ud800", "\ufeffa", " a", "a "])
def test_invisible_tricks_are_refused_everywhere(text: str) -> None:
    for name in ("order_id", "coupon", "customer_id", "sub1", "customer_status"):
        assert fault_of(**{name: text}) == name


def test_one_of_order_and_click_is_needed_and_an_adjustment_needs_its_order() -> None:
    with pytest.raises(InvalidValue) as neither:
        parse_postback({}, 7)
    with pytest.raises(InvalidValue) as orderless:
        parse_postback({"adjustment_id": "r1", "click_id": "x"}, 7)

    assert (neither.value.field, orderless.value.field) == ("order_id", "order_id")


@pytest.mark.parametrize("order", [{"order_id": "A-1"}, {"click_id": "x"}, {"order_id": "A-1", "adjustment_id": ""}])
def test_a_refund_without_its_adjustment_id_is_no_order_of_its_own(order: dict[str, str]) -> None:
    with pytest.raises(InvalidValue) as refused:
        parse_postback({"event": "refund", "amount": "5.00", "currency": "EUR", **order}, 7)

    assert (refused.value.field, refused.value.code) == ("adjustment_id", "adjustment_id_required")


def test_content_ignores_the_way_and_the_case_of_the_click_id() -> None:
    one = parse(click_id="ABC", amount="5.00", currency="EUR", ts="1", sig="x", token="y", merchant_id="7", unknown="z")
    two = parse(click_id="abc", amount=Decimal("5.0"), currency="EUR", event="sale")

    assert one.content_hash() == two.content_hash()


@given(st.sampled_from(["order_id", "coupon", "customer_id", "sub3", "items", "click_id", "customer_status"]))
def test_content_tells_every_field_apart(name: str) -> None:
    assert parse(**{name: "one"}).content_hash() != parse(**{name: "two"}).content_hash()
    without = parse(**{name: "one"}).content_hash(with_click_id=False) == parse().content_hash(with_click_id=False)
    assert without == (name == "click_id")


def test_items_are_flat_objects_or_text() -> None:
    listed = parse(items=[{"sku": "a", "amount": Decimal("1.50"), "quantity": 2}])

    assert listed.items == '[{"amount":"1.50","quantity":2,"sku":"a"}]'
    assert fault_of(items=[{"sku": {"deep": 1}}]) == "items"
    assert fault_of(items=[1]) == "items"
    assert fault_of(items={"a": 1}) == "items"
    assert fault_of(items=[{"sku": "a\x00"}]) == "items"
