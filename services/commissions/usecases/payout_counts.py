"""Counts of what becomes of payouts, told once they are committed."""

from collections.abc import Sequence

from services.commissions.domain.payout_run import PayoutLine
from shared.runtime.database import Session, after_commit
from shared.runtime.metrics import counter

_lines = counter("payout", unit="lines", meaning="Lines of payout runs that came into a state", labels=["state"])
_moved = counter(
    "payout_moved", unit="minor", meaning="What those lines come to, in minor units", labels=["state", "currency"]
)


def count_lines(session: Session, lines: Sequence[PayoutLine], currency: str) -> None:
    """Count `lines` in the states they are in, once the session's transaction has committed."""

    def count() -> None:
        for line in lines:
            _lines.labels(line.state.value).inc()
            _moved.labels(line.state.value, currency).inc(max(line.amount_minor, 0))

    after_commit(session, count)
