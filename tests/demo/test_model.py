"""The oracle itself: it must accept what is right and catch what is wrong, or the demo proves nothing."""

import json
from collections.abc import Mapping
from typing import Any

from tests.demo.amounts import minor_of, percentage, text_of
from tests.demo.expected import affiliate_totals, merchant_totals
from tests.demo.history import Attempt, Fact, Operation
from tests.demo.model import Model

CLICK_ID = "0" * 55 + "g"
ORDER = {"order_id": "A1", "click_id": CLICK_ID, "amount": "100.00", "currency": "EUR"}


class Story:
    """Builds a history by hand; times in seconds."""

    def __init__(self, **offer: Any) -> None:
        terms = [{"event": "sale", "kind": "percentage", "rate_percent": "8.25", "margin_percent": "1.75"}]
        facts = {
            "offer_id": 1,
            "merchant_id": 7,
            "window_min_seconds": 1,
            "window_max_seconds": 5,
            "validation_days": 14,
            "terms": terms,
            **offer,
        }
        ids = {"offer_id": 1, "affiliate_id": 3}
        self.story: list[Operation | Fact] = [Fact("offer", 0, facts), Fact("enrolment", 0, ids)]

    def click(self, at: float, agent: str = "person") -> None:
        facts = {"offer_id": 1, "affiliate_id": 3, "agent": agent, "sub1": "blog", "click_id_parameter": "click_id"}
        location = f"https://shop.example/?click_id={CLICK_ID}"
        self.story.append(Operation(0, "click_get", facts, [Attempt(at, at + 0.01, 302, "", location)]))

    def report(self, at: float, fields: Mapping[str, str], http_status: int, **answer: Any) -> None:
        outcome = {"name": answer.pop("name", "recorded")}
        body = json.dumps({"receipt_id": "r", "outcome": outcome, "conversion_id": "c", **answer})
        facts = {"merchant_id": 7, "postbacks": [dict(fields)]}
        self.story.append(Operation(1, "postback_json", facts, [Attempt(at, at + 0.01, http_status, body)]))

    def lost_attempt_before_the_last(self, at: float) -> None:
        last = self.story[-1]
        assert isinstance(last, Operation)
        last.attempts.insert(0, Attempt(at, at + 5.0, None, error="TimeoutError"))


def test_arithmetic_rounds_half_up_once_in_the_currencys_own_decimals() -> None:
    assert percentage(500, "2.9") == 15
    assert percentage(minor_of("1.005", "KWD"), "12.5") == 126
    assert (text_of(-50, "EUR"), text_of(500, "JPY"), text_of(1, "KWD")) == ("-0.50", "500", "0.001")


def test_an_order_inside_the_window_is_credited_to_the_cent() -> None:
    story = Story()
    story.click(10.0)
    story.report(12.0, ORDER, 201, status="pending")

    model = Model(story.story)

    assert model.problems == []
    conversions = list(model.conversions.values())
    assert affiliate_totals(conversions)[3, "EUR"].pending == 825
    assert merchant_totals(conversions)[7, "EUR"].charged == 1_000


def test_an_order_outside_the_window_must_be_rejected() -> None:
    story = Story()
    story.click(10.0)
    story.report(17.0, ORDER, 201, status="pending")

    model = Model(story.story)

    assert len(model.problems) == 2
    assert affiliate_totals(list(model.conversions.values())) == {}


def test_a_lost_attempt_allows_either_age_and_the_answer_decides() -> None:
    story = Story()
    story.click(10.0)
    story.report(17.0, ORDER, 200, status="pending", duplicate=True)
    story.lost_attempt_before_the_last(11.5)

    model = Model(story.story)

    assert model.problems == []
    assert affiliate_totals(list(model.conversions.values()))[3, "EUR"].pending == 825


def test_a_second_answer_201_to_the_same_order_is_caught() -> None:
    story = Story()
    story.click(10.0)
    story.report(12.0, ORDER, 201, status="pending")
    story.report(12.5, ORDER, 201, status="pending")

    assert ["expected 200, got 201" in problem for problem in Model(story.story).problems] == [True]


def test_refunds_come_off_once_and_never_below_nothing() -> None:
    refund = {"order_id": "A1", "adjustment_id": "r1", "amount": "40.00", "currency": "EUR"}
    story = Story()
    story.click(10.0)
    story.report(12.0, ORDER, 201, status="pending")
    story.report(13.0, refund, 201, status="pending", name="adjustment_recorded")
    story.report(13.1, refund, 200, status="pending", name="adjustment_recorded", duplicate=True)
    story.report(13.2, {**refund, "adjustment_id": "r2", "amount": "60.01"}, 422, name="adjustment_exceeds")

    model = Model(story.story)

    assert model.problems == []
    assert affiliate_totals(list(model.conversions.values()))[3, "EUR"].pending == 495


def test_a_robots_order_is_held_and_earns_nothing() -> None:
    story = Story()
    story.click(10.0, agent="robot")
    story.report(12.0, ORDER, 201, status="held", name="held_robot")

    model = Model(story.story)

    assert model.problems == []
    assert affiliate_totals(list(model.conversions.values())) == {}
