"""Whose customer: the months to the instant, one offer's owner before another's, a click before any owner."""

from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conversions.domain.attribution import BY_CLICK_ID, BY_CUSTOMER, Reported, Verdict, attribute
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.ownership import FOR_LIFE, Owner
from services.conversions.domain.transitions import Status
from shared.kernel.click_id import ClickFlags
from shared.kernel.period import months_after
from tests.factories.conversions import MERCHANT, click, offer_version

FIRST = datetime(2026, 1, 31, 10, 0, tzinfo=UTC)


def owner(affiliate_id: int = 5, first_at: datetime = FIRST, **version: Any) -> Owner:
    known: dict[str, Any] = {"recurring_months": {"sale": 12}}
    return Owner(affiliate_id, offer_version(**(known | version)), first_at)


def decide(received_at: datetime, *owners: Owner, by_click: Any = None, **overrides: Any) -> Verdict:
    known: dict[str, Any] = {
        "merchant_id": MERCHANT,
        "event": "sale",
        "has_amount": True,
        "has_coupon": False,
        "has_customer": True,
        "first_received_at": received_at,
    }
    version = None if by_click is None else offer_version()
    return attribute(Reported(**(known | overrides)), by_click, version, owners)


def test_an_owner_gets_what_no_click_credits() -> None:
    verdict = decide(FIRST + timedelta(days=40), owner())

    assert (verdict.status, verdict.attributed_by, verdict.outcome) == (Status.PENDING, BY_CUSTOMER, Outcome.RECORDED)
    assert verdict.owner == owner()
    assert verdict.approve_at == FIRST + timedelta(days=54)
    assert [(step.rule, step.verdict) for step in verdict.steps] == [
        ("exclusive_coupon", "not_applicable"),
        ("click_id", "not_applicable"),
        ("customer_ownership", "won"),
    ]


@pytest.mark.parametrize(
    ("months", "end"),
    [
        (1, datetime(2026, 2, 28, 10, 0, tzinfo=UTC)),
        (3, datetime(2026, 4, 30, 10, 0, tzinfo=UTC)),
        (12, datetime(2027, 1, 31, 10, 0, tzinfo=UTC)),
        (25, datetime(2028, 2, 29, 10, 0, tzinfo=UTC)),
    ],
)
def test_the_months_count_until_the_same_time_of_the_same_day(months: int, end: datetime) -> None:
    owned = owner(recurring_months={"sale": months})

    assert decide(end - timedelta(microseconds=1), owned).owner == owned
    late = decide(end, owned)
    assert (late.status, late.steps[2].verdict) == (Status.UNATTRIBUTED, "lost")


def test_for_life_is_for_life() -> None:
    assert decide(datetime(2200, 1, 1, tzinfo=UTC), owner(recurring_months={"sale": FOR_LIFE})).owner is not None


def test_nothing_counts_before_the_first_order() -> None:
    assert decide(FIRST - timedelta(microseconds=1), owner()).status is Status.UNATTRIBUTED
    assert decide(FIRST, owner()).status is Status.PENDING


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        ({"event": "lead"}, "no later orders of this event"),
        ({"has_amount": False}, "no amount"),
        ({"has_customer": False}, "no customer"),
    ],
)
def test_what_an_owner_does_not_get_says_why(overrides: dict[str, Any], reason: str) -> None:
    verdict = decide(FIRST + timedelta(days=1), owner(), **overrides)

    assert verdict.status is Status.UNATTRIBUTED
    assert reason in verdict.steps[2].reason


def test_of_several_offers_owners_the_first_counts_and_the_next_where_it_does_not() -> None:
    first = owner(1, FIRST, offer_id=9, recurring_months={"sale": 1})
    same_time = owner(2, FIRST, offer_id=10, recurring_months={"sale": 2})
    later = owner(3, FIRST + timedelta(days=1), offer_id=1)

    for owners in permutations((first, same_time, later)):
        assert decide(FIRST + timedelta(days=10), *owners).owner == first
        assert decide(FIRST + timedelta(days=40), *owners).owner == same_time
        assert decide(FIRST + timedelta(days=90), *owners).owner == later


def test_a_valid_click_comes_before_any_owner_and_a_robot_s_too() -> None:
    now = FIRST + timedelta(days=5)

    valid = decide(now, owner(), by_click=click(clicked_at=now - timedelta(hours=1)))
    robot = decide(now, owner(), by_click=click(clicked_at=now, flags=ClickFlags.ROBOT))

    assert (valid.attributed_by, valid.owner) == (BY_CLICK_ID, None)
    assert (robot.status, robot.owner) == (Status.HELD, None)


def test_a_click_that_lost_leaves_the_order_to_the_owner_with_both_steps() -> None:
    now = FIRST + timedelta(days=100)
    old = click(clicked_at=FIRST)

    owned, nobodys = decide(now, owner(), by_click=old), decide(now, by_click=old)
    expired = decide(now, owner(recurring_months={"sale": 1}), by_click=old)

    assert [(step.rule, step.verdict) for step in owned.steps[1:]] == [
        ("click_id", "lost"),
        ("customer_ownership", "won"),
    ]
    assert (owned.status, owned.attributed_by) == (Status.PENDING, BY_CUSTOMER)
    assert nobodys.outcome is expired.outcome is Outcome.CLICK_TOO_OLD
    assert expired.steps[-1].rule == "customer_ownership"


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2400, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    st.integers(0, 1200),
    st.integers(0, 1200),
)
def test_months_go_forward_and_keep_the_time_of_day(instant: datetime, some: int, more: int) -> None:
    after = months_after(instant, some)

    assert after.time() == instant.time()
    assert (after.year * 12 + after.month) - (instant.year * 12 + instant.month) == some
    assert months_after(instant, some + more) >= after
    assert after.day == instant.day or (after + timedelta(days=1)).day == 1
