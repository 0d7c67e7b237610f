"""What rows about outages have in common: when things happened, and what the traffic around them looked like."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tests.demo.history import Attempt, Operation
from tests.faults.checker import attempts_between, milliseconds_of, percentile
from tests.faults.scorecard import Figure

CLICKS: Final = ("click_get", "click_json", "click_head")
POSTBACKS: Final = ("postback_",)
WARM_SECONDS: Final = 2.0
EDGE_SECONDS: Final = 0.3
"""Around the instant of a fault nobody can say on which side of it a request was."""
SUCCESS_SHARE_MIN: Final = 0.999
RATIO_MAX: Final = 2.0


@dataclass(slots=True)
class Instants:
    """Unix times. stopped: the thing is gone; start_asked: it may come back; back: it serves.

    began, ended: of the undisturbed traffic around it.
    """

    began: float = 0.0
    stopped: float = 0.0
    start_asked: float = 0.0
    back: float = 0.0
    ended: float = 0.0


@dataclass(frozen=True, slots=True)
class Redirects:
    """The clicks of an outage beside the undisturbed ones before and after it, in the same run."""

    sent: int
    ok: int
    quiet_ms: list[float]
    during_ms: list[float]

    @classmethod
    def of(cls, operations: Sequence[Operation], instants: Instants) -> "Redirects":
        """Success is counted until the thing serves again; time is compared until it may start, which takes CPU."""
        during = attempts_between(operations, CLICKS, instants.stopped, instants.back)
        quiet = [
            *attempts_between(operations, CLICKS, instants.began + WARM_SECONDS, instants.stopped - EDGE_SECONDS),
            *attempts_between(operations, CLICKS, instants.back + WARM_SECONDS, instants.ended),
        ]
        timed = attempts_between(operations, CLICKS, instants.stopped, instants.start_asked)
        ok = sum(attempt.status in (200, 302) for attempt in during)
        return cls(len(during), ok, milliseconds_of(quiet), milliseconds_of(timed))

    @property
    def ratio(self) -> float:
        """p99 during the outage over p99 without it."""
        return percentile(self.during_ms, 0.99) / max(percentile(self.quiet_ms, 0.99), 0.001)

    @property
    def figures(self) -> dict[str, Figure]:
        """For a row's line."""
        return {
            "redirects_ok_share": self.ok / max(1, self.sent),
            "p99_ms": percentile(self.during_ms, 0.99),
            "p99_ratio": self.ratio,
        }

    @property
    def broken(self) -> list[str]:
        """Which of the promises about redirects did not hold."""
        rules = {
            "no redirects were sent, before or during": not (self.quiet_ms and self.during_ms),
            f"{self.sent - self.ok} of {self.sent} redirects failed": self.ok < SUCCESS_SHARE_MIN * self.sent,
            f"p99 of redirects not under {RATIO_MAX} × undisturbed": self.ratio >= RATIO_MAX,
        }
        return [what for what, is_so in rules.items() if is_so]


def restarted(before: dict[str, int | None], after: dict[str, int | None]) -> list[str]:
    """One finding if any process is not the one it was."""
    names = [name for name, pid in after.items() if pid != before[name]]
    return [f"restarted: {', '.join(names)}"] if names else []


def describe(attempt: Attempt) -> str:
    """An attempt in a few words."""
    return (
        f"{attempt.status or attempt.error} after {1_000 * ((attempt.ended_at or 0) - (attempt.sent_at or 0)):.0f} ms"
    )
