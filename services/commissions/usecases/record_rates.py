"""Record exchange rates: the same again changes nothing, another one for the same day is a correction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from services.commissions.domain.exchange_rates import ExchangeRate
from services.commissions.storage.rate_store import (
    RATES_AT_ONCE,
    Recording,
    find_last_of_source,
    insert_rates,
    lock_recording,
)
from shared.kernel.errors import TributaryError
from shared.kernel.ids import new_id
from shared.runtime.database import Session

Progress = Callable[[int, int], None]
"""Called with how many of how many rates have been looked at."""


class RateCorrected(TributaryError):
    """A rate that its source gave otherwise before, recorded without a reason for the correction."""

    code = "exchange_rate_differs"

    def __init__(self, rate: ExchangeRate) -> None:
        super().__init__(f"{rate.base}/{rate.quote} of {rate.as_of} is recorded otherwise; a correction has a reason")
        self.rate = rate


@dataclass(slots=True)
class RatesRecorded:
    """What came of it. corrected: rates that differ from what their source had said before."""

    import_id: UUID
    recorded: int = 0
    corrected: int = 0
    unchanged: int = 0


async def record_rates(
    session: Session,
    rates: Sequence[ExchangeRate],
    *,
    actor: str,
    now: datetime,
    reason_code: str | None = None,
    is_dry_run: bool = False,
    progress: Progress = lambda done, total: None,
) -> RatesRecorded:
    """Record `rates`, all of them or none. Idempotent: what its source said last of a pair and day is not said again.

    reason_code: for corrections; without one the first correction is refused. What is posted keeps the rate that it
    has. is_dry_run: compare, count and refuse alike, and write nothing. Raises RateCorrected.
    """
    await lock_recording(session)
    outcome = RatesRecorded(new_id())
    for start in range(0, len(rates), RATES_AT_ONCE):
        batch = rates[start : start + RATES_AT_ONCE]
        new, corrections = await _compare(session, batch, reason_code)
        outcome.recorded += len(new) + len(corrections)
        outcome.corrected += len(corrections)
        outcome.unchanged += len(batch) - len(new) - len(corrections)
        if not is_dry_run:
            for found, reason in ((new, None), (corrections, reason_code)):
                await insert_rates(session, found, Recording(outcome.import_id, now, actor, reason))
        progress(start + len(batch), len(rates))
    return outcome


async def _compare(
    session: Session, batch: Sequence[ExchangeRate], reason_code: str | None
) -> tuple[list[ExchangeRate], list[ExchangeRate]]:
    """Those that nobody has recorded, and those that their source gave otherwise. Raises RateCorrected."""
    before = await find_last_of_source(session, batch)
    new, corrections = [], []
    for rate in batch:
        known = before.get((rate.base, rate.quote, rate.source, rate.as_of))
        if known is None:
            new.append(rate)
        elif known != rate.rate:
            corrections.append(rate)
    if corrections and reason_code is None:
        raise RateCorrected(corrections[0])
    return new, corrections
