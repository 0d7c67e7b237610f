"""What a limit let through, judged from the outside: by when each request was sent and when it was answered."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.kernel.token_bucket import Limit


@dataclass(frozen=True, slots=True)
class Passed:
    """One request that was let through. Seconds of one clock."""

    sent_at: float
    answered_at: float


def worst_stretch(passed: Sequence[Passed], limit: Limit) -> float:
    """The largest share of its limit that any stretch of time saw: 1.0 is exactly burst + rate * length.

    A request counts in a stretch only if it was sent and answered in it.
    """
    worst = 0.0
    by_end = sorted(passed, key=lambda one: one.answered_at)
    for start in {one.sent_at for one in passed}:
        inside = [one.answered_at for one in by_end if one.sent_at >= start]
        for count, end in enumerate(inside, start=1):
            worst = max(worst, count / (limit.burst + limit.tokens_per_second * (end - start)))
    return worst


def share_of_due(passed: Sequence[Passed], limit: Limit, *, start: float, end: float) -> float:
    """How much of what a caller was due between `start` (with a full bucket) and `end` it got: 1.0 is all."""
    due = limit.burst + limit.tokens_per_second * (end - start)
    return sum(start <= one.answered_at <= end for one in passed) / due
