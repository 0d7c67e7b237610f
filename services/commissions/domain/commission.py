"""A commission: what one conversion earns its affiliate, and the states it may pass through."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from services.commissions.domain.terms import Price
from shared.contracts.commissions import GrantV1
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id
from shared.kernel.money import Money


class CommissionStatus(StrEnum):
    """Stored states. `payable` is `approved` once its payable_at has passed; `paid` follows from payouts."""

    ACCRUED = "accrued"
    APPROVED = "approved"
    REVERSED = "reversed"
    OVER_CAP = "over_cap"
    HELD = "held"


WITHHELD: Final = frozenset({CommissionStatus.OVER_CAP, CommissionStatus.HELD})
"""States in which nothing is posted until finance releases it."""

TRANSITIONS: Final = MappingProxyType(
    {
        None: frozenset({CommissionStatus.ACCRUED}) | WITHHELD,
        CommissionStatus.ACCRUED: frozenset({CommissionStatus.APPROVED, CommissionStatus.REVERSED}),
        CommissionStatus.APPROVED: frozenset({CommissionStatus.REVERSED}),
        CommissionStatus.REVERSED: frozenset[CommissionStatus](),
        CommissionStatus.OVER_CAP: frozenset({CommissionStatus.ACCRUED, CommissionStatus.REVERSED}),
        CommissionStatus.HELD: frozenset(
            {CommissionStatus.ACCRUED, CommissionStatus.OVER_CAP, CommissionStatus.REVERSED}
        ),
    }
)
"""From each state (None: no commission yet) the ones it may take."""


class TransitionRefused(TributaryError):
    """A change of state that the table does not have."""

    code = "transition_refused"


def require_transition(before: CommissionStatus | None, after: CommissionStatus) -> CommissionStatus:
    """`after`, if the table allows it from `before`. Raises TransitionRefused."""
    if after not in TRANSITIONS[before]:
        raise TransitionRefused(f"a commission does not go from {before or 'nothing'} to {after}")
    return after


def commission_id_of(conversion_id: UUID) -> UUID:
    """The id of a conversion's commission: the same on every replay."""
    return derived_id(conversion_id, "commission")


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands for a commission before a version is applied.

    attribution: (affiliate, offer, offer version), settled by the first credit for good.
    commission, margin: to the affiliate and to the network, never negative. net: of the order, None where the
    conversion has no amount. accrual_id: the ledger transaction that opened it, None where nothing was posted.
    grants: what it holds under caps, and what they refused. target: the price it would stand at but for a refusal,
    None where nothing is withheld.
    """

    attribution: tuple[int, int, int]
    status: CommissionStatus
    commission: Money
    margin: Money
    net: Money | None
    payable_at: datetime | None
    accrual_id: UUID | None
    grants: tuple[GrantV1, ...] = ()
    target: Price | None = None
