"""A merchant's prepaid balance: what it may still spend, and what follows when that is little or nothing."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class PrefundingState(StrEnum):
    """ok, then low (below the merchant's own mark), then exhausted (nothing left)."""

    OK = "ok"
    LOW = "low"
    EXHAUSTED = "exhausted"


@dataclass(frozen=True, slots=True)
class Prefunding:
    """What one merchant chose for one currency, and how it stands.

    low_balance_minor: the mark below which it wants to be told; 0: only when nothing is left. pauses_at_zero: its
    offers are paused while nothing is left. available_minor: prepaid less owed, at block_number; below zero it owes.
    """

    merchant_id: int
    currency: str
    low_balance_minor: int
    pauses_at_zero: bool
    state: PrefundingState
    available_minor: int
    block_number: int
    changed_at: datetime


def state_of(available_minor: int, *, low_balance_minor: int) -> PrefundingState:
    """At the mark it is not low yet; at zero nothing is left."""
    if available_minor <= 0:
        return PrefundingState.EXHAUSTED
    return PrefundingState.LOW if available_minor < low_balance_minor else PrefundingState.OK
