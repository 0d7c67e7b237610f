"""Give conversions the sub IDs of their click, once its own record has arrived; money never changes by it (I6)."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Final

from services.conversions.domain.conversion import Actor, Change, ClickDetails, Conversion, next_version
from services.conversions.storage.conversion_store import lock_of_clicks, lock_without_details
from services.conversions.usecases.record_changes import record_changes
from shared.kernel.clock import Clock
from shared.runtime.database import Session

BATCH: Final = 500
LOOK_BACK: Final = timedelta(minutes=10)
"""A record and a postback miss each other only while both transactions are open: seconds, not minutes."""

_RULE: Final = Actor("rule", "click_index")


async def add_details_of_clicks(session: Session, clock: Clock, click_ids: Collection[bytes]) -> int:
    """Complete the conversions by clicks that were just indexed; gives how many. Each gets its next version."""
    return await _complete(session, clock, await lock_of_clicks(session, click_ids))


async def add_missed_details(session: Session, clock: Clock) -> int:
    """Complete a batch of recent conversions whose click was indexed at the same moment; gives how many."""
    return await _complete(session, clock, await lock_without_details(session, clock.now() - LOOK_BACK, BATCH))


async def _complete(session: Session, clock: Clock, found: Sequence[tuple[Conversion, ClickDetails]]) -> int:
    now = clock.now()
    changes = [
        Change(replace(next_version(conversion, now), details=details), "click_details_added", _RULE)
        for conversion, details in found
    ]
    await record_changes(session, changes)
    return len(changes)
