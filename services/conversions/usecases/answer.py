"""What a merchant hears of a postback."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from services.conversions.domain.outcomes import Outcome
from services.conversions.usecases.judge_postback import FieldFault, Refusal, Submission


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. receipt_id: of the answer given first, when this one is a duplicate."""

    receipt_id: UUID
    outcome: Outcome
    http_status: int
    conversion_id: UUID | None = None
    status: str | None = None
    duplicate: bool = False
    faults: Sequence[FieldFault] = ()

    @property
    def is_taken(self) -> bool:
        """True when the postback is recorded: exactly then it answers 2xx."""
        return self.http_status < 300


def refusal_answer(submission: Submission, refusal: Refusal) -> Answer:
    """The answer to a postback that is not taken."""
    outcome = refusal.outcome
    return Answer(submission.arrival.receipt_id, outcome, outcome.http_status, faults=refusal.faults)
