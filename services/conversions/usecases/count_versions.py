"""Counts of what was recorded, once it is committed."""

from collections.abc import Sequence

from services.conversions.domain.conversion import Conversion
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.transitions import Status
from services.conversions.usecases.answer import Answer
from shared.runtime.database import Session, after_commit
from shared.runtime.metrics import counter

NOBODY = "none"

_outcomes = counter(
    "postback_outcomes", unit="postbacks", meaning="Postbacks of known merchants, by outcome", labels=["outcome"]
)
_versions = counter(
    "conversion", unit="versions", meaning="Versions of conversions recorded, by the status after them",
    labels=["status"],
)  # fmt: skip
_attributed = counter(
    "conversion_attributed", unit="conversions", meaning="Conversions decided, by what credited them",
    labels=["attributed_by"],
)  # fmt: skip
_by_outcome = {outcome: _outcomes.labels(outcome.label) for outcome in Outcome}
"""Found once: looking a series up costs more than counting."""

_by_status = {status: _versions.labels(status.value) for status in Status}


def count_outcome(answer: Answer) -> None:
    """One postback answered; its transaction has committed."""
    _by_outcome[Outcome.DUPLICATE if answer.duplicate else answer.outcome].inc()


def count_versions(session: Session, states: Sequence[Conversion], *, decided: Sequence[Conversion]) -> None:
    """Count these versions when the session commits. decided: those whose attribution this version settles."""

    def count() -> None:
        for state in states:
            _by_status[state.status].inc()
        for state in decided:
            if state.status is not Status.WAITING:
                _attributed.labels(state.attributed_by or NOBODY).inc()

    after_commit(session, count)
