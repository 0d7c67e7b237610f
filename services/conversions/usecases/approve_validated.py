"""Approve conversions whose validation days have passed."""

from typing import Final

from services.conversions.domain.conversion import Actor, Change, moved
from services.conversions.domain.reason_codes import ReasonCode
from services.conversions.domain.transitions import Action
from services.conversions.storage.conversion_store import lock_due_for_approval
from services.conversions.usecases.record_changes import record_changes
from shared.kernel.clock import Clock
from shared.runtime.database import Session

BATCH: Final = 500
_RULE: Final = Actor("rule", "validation_days")


async def approve_validated(session: Session, clock: Clock) -> int:
    """Approve a batch of those due; gives how many."""
    now, reason = clock.now(), ReasonCode.VALIDATION_PASSED.value
    due = await lock_due_for_approval(session, now, BATCH)
    changes = [
        Change(moved(conversion, Action.APPROVE, reason_code=reason, now=now), "approved", _RULE, reason)
        for conversion in due
    ]
    await record_changes(session, changes)
    return len(changes)
