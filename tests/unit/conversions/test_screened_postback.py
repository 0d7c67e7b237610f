"""What a merchant reports is screened before anything is compared or kept: customers always, the rest where it must."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conversions.domain.postback import ITEMS_CHARACTERS_MAX, Postback, parse_postback, screen_postback
from shared.kernel.personal_values import Screen, personal_kind

SCREEN = Screen(b"s" * 32)
MAIL = "jo@mail.example"


def screened(**fields: Any) -> Postback:
    return screen_postback(parse_postback({"order_id": "A-1", **fields}, 7), SCREEN)


def test_a_customer_is_never_kept_as_given() -> None:
    assert screened(customer_id="C-1001").customer_id == SCREEN.customer(merchant_id=7, reference="C-1001")
    assert screened().customer_id is None


def test_every_field_of_text_is_screened() -> None:
    fields = dict.fromkeys(("order_id", "adjustment_id", "coupon", "customer_status", "sub1", "sub10"), MAIL)

    assert MAIL not in repr(screened(**fields, customer_id=MAIL, items=MAIL))


def test_items_keep_what_is_not_personal() -> None:
    items = screened(items=[{"sku": "a-1", "gift_for": MAIL, "amount": "1.50", "quantity": 2}]).items

    assert json.loads(items or "") == [
        {"sku": "a-1", "gift_for": SCREEN.text(MAIL), "amount": "1.50", "quantity": 2},
    ]


@pytest.mark.parametrize(
    "items",
    [
        '[{"a":{"b":"jo@mail.example"}}]',
        f'[{{"a":["{MAIL}"]}}]',
        "[" * 3000 + MAIL,
        "[" * 3000 + f'"{MAIL}"' + "]" * 3000,
        [{"a": 4111111111111111}],
    ],
)
def test_no_shape_of_items_hides_a_personal_value(items: object) -> None:
    kept = screened(items=items).items or ""

    assert personal_kind(kept) is None
    assert "hashed_" in kept


def test_items_that_grow_beyond_their_limit_are_kept_as_one_hash() -> None:
    items = screened(items=[{f"k{n}": f"{n}@b.de" for n in range(9)} for _ in range(50)]).items or ""

    assert len(items) <= ITEMS_CHARACTERS_MAX
    assert items.startswith("hashed_email_")


def test_a_repeat_is_the_same_content_and_another_value_is_not() -> None:
    assert screened(order_id=MAIL).content_hash() == screened(order_id=MAIL).content_hash()
    assert screened(order_id=MAIL).content_hash() != screened(order_id="al@mail.example").content_hash()
    assert screened(customer_id="1").content_hash() != screened(customer_id="2").content_hash()


@given(st.from_regex(r"[A-Z]{0,8}-?[0-9]{1,13}", fullmatch=True))
def test_a_common_order_is_left_as_it_is(order_id: str) -> None:
    before = parse_postback({"order_id": order_id, "coupon": "SUMMER10", "sub1": "a"}, 7)

    assert screen_postback(before, SCREEN) == before
