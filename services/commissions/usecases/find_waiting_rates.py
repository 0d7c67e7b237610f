"""Which held commissions wait for an exchange rate, and which of them could be released by now."""

from collections import Counter
from dataclasses import dataclass
from typing import Final

from services.commissions.storage.rate_decision_store import find_awaited
from services.commissions.usecases.find_rate import load_rates
from shared.runtime.database import Session

LOOKED_AT_MAX: Final = 10_000
"""Held commissions that are looked at, the longest held first; more than that are told of as at least so many."""


@dataclass(frozen=True, slots=True)
class WaitingForRates:
    """releasable: how many have their rate by now. still_held: by pair, how many have none."""

    releasable: int
    still_held: dict[str, int]


async def find_waiting_for_rates(session: Session, *, days_max: int) -> WaitingForRates:
    """What waits for rates; nothing is released by it."""
    awaited = await find_awaited(session, limit=LOOKED_AT_MAX)
    if not awaited:
        return WaitingForRates(0, {})
    currencies = {code for each in awaited for code in (each.base, each.quote)}
    book = await load_rates(session, currencies=currencies, days={each.on for each in awaited}, days_max=days_max)
    missing = [each for each in awaited if book.find(each.base, each.quote, each.on, days_max=days_max) is None]
    pairs = Counter(f"{each.base}/{each.quote}" for each in missing)
    return WaitingForRates(len(awaited) - len(missing), dict(sorted(pairs.items())))
