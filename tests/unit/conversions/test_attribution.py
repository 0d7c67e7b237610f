"""Who caused a conversion: the window to the second, flags in their order, what waits and what does not."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conversions.domain.attribution import Reported, attribute, click_age_seconds
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.transitions import Status
from shared.kernel.click_id import ClickFlags
from tests.factories.conversions import MERCHANT, click, offer_version

RECEIVED = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)


def reported(**overrides: Any) -> Reported:
    known: dict[str, Any] = {
        "merchant_id": MERCHANT,
        "event": "sale",
        "has_amount": True,
        "has_coupon": False,
        "has_customer": False,
        "first_received_at": RECEIVED,
    }
    return Reported(**(known | overrides))


def outcome_at(age: timedelta, window_min_seconds: int, window_max_seconds: int, **overrides: Any) -> Outcome:
    version = offer_version(window_min_seconds=window_min_seconds, window_max_seconds=window_max_seconds)
    return attribute(reported(**overrides), click(clicked_at=RECEIVED - age), version).outcome


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 999_999))
def test_the_window_holds_at_its_limits_and_not_a_second_beyond(first: int, length: int, microseconds: int) -> None:
    low, high, part = first, first + length, timedelta(microseconds=microseconds)

    assert outcome_at(timedelta(seconds=low) + part, low, high) is Outcome.RECORDED
    assert outcome_at(timedelta(seconds=high) + part, low, high) is Outcome.RECORDED
    assert outcome_at(timedelta(seconds=high + 1) + part, low, high) is Outcome.CLICK_TOO_OLD
    if low > 0:
        assert outcome_at(timedelta(seconds=low - 1) + part, low, high) is Outcome.CLICK_TOO_RECENT


def test_a_click_from_a_clock_slightly_ahead_is_of_age_zero() -> None:
    assert click_age_seconds(RECEIVED + timedelta(milliseconds=5), RECEIVED) == 0
    assert outcome_at(timedelta(seconds=-3), 0, 10) is Outcome.CLICK_TOO_RECENT


@pytest.mark.parametrize(
    ("hours", "is_batch", "outcome"),
    [(24, True, Outcome.RECORDED), (25, True, Outcome.LATE_BATCH), (24, False, Outcome.CLICK_TOO_OLD)],
)
def test_only_a_batch_may_be_late_and_only_by_its_hours(hours: int, is_batch: bool, outcome: Outcome) -> None:
    ordered_at = RECEIVED - timedelta(hours=hours)
    verdict = attribute(
        reported(ordered_at=ordered_at, is_batch=is_batch),
        click(clicked_at=ordered_at - timedelta(seconds=50)),
        offer_version(window_max_seconds=100, late_hours=24),
    )

    assert verdict.outcome is outcome


def test_a_late_batch_does_not_widen_the_window() -> None:
    verdict = attribute(
        reported(ordered_at=RECEIVED, is_batch=True),
        click(clicked_at=RECEIVED - timedelta(seconds=101)),
        offer_version(window_max_seconds=100),
    )

    assert verdict.outcome is Outcome.CLICK_TOO_OLD


def test_only_a_missing_offer_version_makes_it_wait() -> None:
    assert attribute(reported(), click(flags=ClickFlags.UNENROLLED), None).status is Status.WAITING
    assert attribute(reported(), None, None).status is Status.UNATTRIBUTED


def test_the_offers_merchant_comes_first_then_flags_then_terms_then_window() -> None:
    old = {"clicked_at": RECEIVED - timedelta(days=300)}
    flagged = click(flags=ClickFlags.UNENROLLED | ClickFlags.ROBOT, **old)

    assert attribute(reported(), flagged, offer_version(merchant_id=99)).outcome is Outcome.FOREIGN_OFFER_DISCOVERED
    assert attribute(reported(event="x"), flagged, offer_version()).outcome is Outcome.NOT_ENROLLED
    assert attribute(reported(event="x"), click(**old), offer_version()).outcome is Outcome.EVENT_NOT_OF_OFFER
    assert attribute(reported(has_amount=False), click(**old), offer_version()).outcome is Outcome.AMOUNT_MISSING
    assert attribute(reported(), click(**old), offer_version()).outcome is Outcome.CLICK_TOO_OLD


def test_a_click_of_a_flood_is_held_with_the_reason_on_the_trail() -> None:
    verdict = attribute(reported(), click(flags=ClickFlags.FLOOD, clicked_at=RECEIVED), offer_version())

    assert (verdict.status, verdict.outcome) == (Status.HELD, Outcome.HELD_FLOOD)
    assert "flood" in verdict.steps[-1].reason


def test_a_robots_click_is_held_with_the_reason_on_the_trail() -> None:
    verdict = attribute(reported(), click(flags=ClickFlags.ROBOT, clicked_at=RECEIVED), offer_version())

    assert (verdict.status, verdict.outcome) == (Status.HELD, Outcome.HELD_ROBOT)
    assert "robot" in verdict.steps[-1].reason
    assert verdict.approve_at == RECEIVED + timedelta(days=14)


def test_every_rule_leaves_its_step() -> None:
    steps = attribute(reported(has_coupon=True), None, None).steps

    assert [step.rule for step in steps] == ["exclusive_coupon", "click_id", "customer_ownership", "nobody"]
