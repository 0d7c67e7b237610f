"""Give conversions the sub IDs of their click, once its own record has arrived; money never changes by it (I6)."""

from dataclasses import replace
from typing import Final

from services.conversions.domain.conversion import Actor, Change, next_version
from services.conversions.storage.conversion_store import lock_without_details
from services.conversions.storage.session import Session
from services.conversions.usecases.record_changes import record_changes
from shared.kernel.clock import Clock

BATCH: Final = 500
_RULE: Final = Actor("rule", "click_index")


async def add_click_details(session: Session, clock: Clock) -> int:
    """Complete a batch of conversions; gives how many. Each gets its next version."""
    found = await lock_without_details(session, BATCH)
    now = clock.now()
    changes = [
        Change(replace(next_version(conversion, now), details=details), "click_details_added", _RULE)
        for conversion, details in found
    ]
    await record_changes(session, changes)
    return len(changes)
