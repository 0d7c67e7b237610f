"""The transition table, whole: what it names is allowed, everything else is refused."""

from itertools import product

import pytest

from services.conversions.domain.transitions import (
    Action,
    Status,
    TransitionRefused,
    may_be_attributed,
    next_status,
)

W, P, A, U, R, H, V = (
    Status(s) for s in ["waiting", "pending", "approved", "unattributed", "rejected", "held", "reversed"]
)
ALLOWED = {
    Action.APPROVE: {P: A},
    Action.REJECT: {P: R, H: R, W: R, U: R},
    Action.REVERSE: {P: V, A: V},
    Action.RELEASE: {H: P},
    Action.REFUND_PART: {W: W, P: P, A: A, U: U, R: R, H: H},
    Action.REFUND_ALL: {P: V, A: V, W: R, U: R, H: R, R: R},
}


@pytest.mark.parametrize(("status", "action"), list(product(Status, Action)))
def test_the_table_is_this_and_no_more(status: Status, action: Action) -> None:
    expected = ALLOWED[action].get(status)

    if expected is None:
        with pytest.raises(TransitionRefused):
            next_status(status, action)
    else:
        assert next_status(status, action) is expected


@pytest.mark.parametrize(("status", "verdict"), list(product(Status, Status)))
def test_only_what_waits_or_has_no_click_is_attributed_later(status: Status, verdict: Status) -> None:
    allowed = {W: {P, H, R}, U: {P, H, R, W}}.get(status, set())

    assert may_be_attributed(status, verdict) == (verdict in allowed)


def test_nothing_leaves_reversed_and_nothing_uncredited_is_reversed() -> None:
    for action in Action:
        with pytest.raises(TransitionRefused):
            next_status(V, action)
    for status in (W, U, R, H):
        with pytest.raises(TransitionRefused):
            next_status(status, Action.REVERSE)
