"""Show how many versions of conversions wait, and what for."""

from typing import Final

from services.commissions.storage.commission_store import count_parked
from shared.runtime.database import Session
from shared.runtime.metrics import gauge

REASONS: Final = ("version_gap", "offer_version_missing", "refused")

_waiting = gauge(
    "conversions_waiting",
    unit="versions",
    meaning="Versions of conversions that wait: for the one before, for their offer version, or refused for good",
    labels=["reason"],
)


async def count_waiting(session: Session) -> None:
    """Set the gauge of waiting versions, by reason."""
    waiting = await count_parked(session)
    for reason in REASONS:
        _waiting.labels(reason).set(waiting.get(reason, 0))
