"""Many conversions at once: a job's rows, and what became of each."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from services.conversions.domain.reason_codes import ReasonCode
from services.conversions.domain.transitions import Action, Status
from shared.kernel.money import Money

ROWS_MAX: Final = 40_000
"""Rows of one job: a large merchant's month. More are several jobs."""


class BulkAction(StrEnum):
    """What a row asks for. All but approve give a reason."""

    APPROVE = "approve"
    REJECT = "reject"
    REVERSE = "reverse"
    ADJUST = "adjust"


MOVES: Final = {
    BulkAction.APPROVE: (Action.APPROVE, Status.APPROVED),
    BulkAction.REJECT: (Action.REJECT, Status.REJECTED),
    BulkAction.REVERSE: (Action.REVERSE, Status.REVERSED),
}
"""Those that move a conversion: by which step, and where one that is there already stands."""


class RowOutcome(StrEnum):
    """done: a new version. already: it stood so before. refused: nothing was changed, and the code says why."""

    DONE = "done"
    ALREADY = "already"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRow:
    """One row as it was read. number: from 1, in the order sent.

    ref: a conversion's id, or `order:` and the merchant's order id, as it may be kept. fault: the code that refuses the
    row before anything is looked up, with the field; then the rest may be missing.
    """

    number: int
    ref: str = ""
    event: str | None = None
    action: BulkAction | None = None
    reason: ReasonCode | None = None
    adjustment_id: str | None = None
    new_amount: Money | None = None
    refund_amount: Money | None = None
    fault: str | None = None
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RowResult:
    """What became of a row. status: of the conversion afterwards; None where none was found."""

    number: int
    outcome: RowOutcome
    code: str | None = None
    field: str | None = None
    conversion_id: UUID | None = None
    status: str | None = None
