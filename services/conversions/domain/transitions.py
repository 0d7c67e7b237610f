"""The one table of what may become of a conversion; anything else is refused."""

from enum import StrEnum
from typing import Final

from shared.kernel.errors import TributaryError


class Status(StrEnum):
    """Where a conversion stands. Only `pending` and `approved` are credited."""

    WAITING = "waiting"
    PENDING = "pending"
    APPROVED = "approved"
    UNATTRIBUTED = "unattributed"
    REJECTED = "rejected"
    HELD = "held"
    REVERSED = "reversed"


class Action(StrEnum):
    """What may be asked of a conversion. REFUND_ALL: an adjustment that leaves nothing. REFUND_PART: one that does."""

    APPROVE = "approve"
    REJECT = "reject"
    REVERSE = "reverse"
    RELEASE = "release"
    REFUND_PART = "refund_part"
    REFUND_ALL = "refund_all"


class TransitionRefused(TributaryError):
    """The conversion's status does not allow the action."""

    code = "transition_refused"

    def __init__(self, status: Status, action: Action) -> None:
        super().__init__(f"a conversion that is {status} cannot take: {action}")
        self.status = status
        self.action = action


_W, _P, _A, _U, _R, _H, _V = (
    Status.WAITING,
    Status.PENDING,
    Status.APPROVED,
    Status.UNATTRIBUTED,
    Status.REJECTED,
    Status.HELD,
    Status.REVERSED,
)

TRANSITIONS: Final[dict[tuple[Status, Action], Status]] = {
    (_P, Action.APPROVE): _A,
    (_P, Action.REJECT): _R,
    (_H, Action.REJECT): _R,
    (_W, Action.REJECT): _R,
    (_U, Action.REJECT): _R,
    (_P, Action.REVERSE): _V,
    (_A, Action.REVERSE): _V,
    (_H, Action.RELEASE): _P,
    **{(status, Action.REFUND_PART): status for status in (_W, _P, _A, _U, _R, _H)},
    (_P, Action.REFUND_ALL): _V,
    (_A, Action.REFUND_ALL): _V,
    # Never credited, so nothing is taken back from anybody: the order is simply over.
    (_W, Action.REFUND_ALL): _R,
    (_U, Action.REFUND_ALL): _R,
    (_H, Action.REFUND_ALL): _R,
    (_R, Action.REFUND_ALL): _R,
}

ATTRIBUTIONS: Final[dict[Status, frozenset[Status]]] = {
    _W: frozenset({_P, _H, _R}),
    _U: frozenset({_P, _H, _R, _W}),
}
"""What a verdict that comes later may make of a conversion."""


def next_status(status: Status, action: Action) -> Status:
    """The status after `action`. Raises TransitionRefused."""
    following = TRANSITIONS.get((status, action))
    if following is None:
        raise TransitionRefused(status, action)
    return following


def may_be_attributed(status: Status, verdict: Status) -> bool:
    """True when a later verdict may turn `status` into `verdict`."""
    return verdict in ATTRIBUTIONS.get(status, frozenset())
