"""The scorecard's judge: it sees what is wrong, or its zeros prove nothing."""

from tests.demo.history import Attempt, Operation
from tests.faults.checker import attempts_between, milliseconds_of, percentile, repeated, unbalanced


def test_a_ledger_transaction_that_does_not_sum_to_zero_is_found_per_currency() -> None:
    entries = [
        {"transaction_id": "good", "currency": "EUR", "amount_minor": 1200},
        {"transaction_id": "good", "currency": "EUR", "amount_minor": -1200},
        {"transaction_id": "mixed", "currency": "EUR", "amount_minor": 5},
        {"transaction_id": "mixed", "currency": "JPY", "amount_minor": -5},
    ]

    assert unbalanced(entries) == ["ledger: mixed is off by 5 in EUR", "ledger: mixed is off by -5 in JPY"]


def test_a_row_that_is_there_twice_is_found() -> None:
    assert repeated("click", ["a", "b", "a"]) == ["duplicate: 2 times click a"]


def test_attempts_are_taken_by_kind_and_by_when_they_were_sent() -> None:
    early, late = Attempt(0.0, 1.5, 302, sent_at=1.0), Attempt(0.0, 5.0, 302, sent_at=4.0)
    unanswered = Attempt(0.0, 9.0, None, error="TimeoutError", sent_at=1.2)
    story = [
        Operation(1, "click_get", {}, [early, late]),
        Operation(2, "click_get", {}, [unanswered]),
        Operation(3, "postback_api", {}, [Attempt(0.0, 1.5, 201, sent_at=1.0)]),
    ]

    found = attempts_between(story, ("click",), 1.0, 4.0)

    assert found == [early, unanswered]
    assert milliseconds_of(found) == [500.0]


def test_the_99th_percentile_is_exceeded_by_one_in_a_hundred() -> None:
    assert percentile([float(value) for value in range(1, 101)], 0.99) == 100.0
    assert percentile([float(value) for value in range(1, 201)], 0.99) == 199.0
    assert percentile([], 0.99) == 0.0
