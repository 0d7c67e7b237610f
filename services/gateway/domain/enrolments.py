"""Enrolments: an affiliate approved for an offer, in dated intervals that never overlap."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from services.gateway.domain.intervals import Interval, closed, opened
from services.gateway.domain.refusals import CatalogueConflict

INTERVALS_MAX: Final = 100
"""How often one enrolment may be opened: its event carries every interval."""


class EnrolmentStatus(StrEnum):
    """Where an enrolment stands. Clicks count while it is approved."""

    APPLIED = "applied"
    APPROVED = "approved"
    REJECTED = "rejected"
    ENDED = "ended"


ENROLMENT_TRANSITIONS: Final[Mapping[EnrolmentStatus, frozenset[EnrolmentStatus]]] = MappingProxyType(
    {
        EnrolmentStatus.APPLIED: frozenset({EnrolmentStatus.APPROVED, EnrolmentStatus.REJECTED}),
        EnrolmentStatus.APPROVED: frozenset({EnrolmentStatus.ENDED}),
        EnrolmentStatus.REJECTED: frozenset({EnrolmentStatus.APPLIED, EnrolmentStatus.APPROVED}),
        EnrolmentStatus.ENDED: frozenset({EnrolmentStatus.APPLIED, EnrolmentStatus.APPROVED}),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """One affiliate's enrolment in one offer. intervals: oldest first; only the last may be open, while approved."""

    enrolment_id: int
    offer_id: int
    affiliate_id: int
    merchant_id: int
    status: EnrolmentStatus
    applied_at: datetime
    decided_at: datetime | None
    intervals: tuple[Interval, ...] = ()


def advance_enrolment(enrolment: Enrolment, wanted: EnrolmentStatus, now: datetime) -> Enrolment:
    """The enrolment after one step. Approval opens an interval, the end closes it; an enrolment there already stays.

    An interval never begins before the last one ended, whatever the clock says. Raises CatalogueConflict.
    """
    if enrolment.status == wanted:
        return enrolment
    if wanted not in ENROLMENT_TRANSITIONS[enrolment.status]:
        raise CatalogueConflict(
            "enrolment_transition_refused", f"an enrolment that is {enrolment.status} cannot become {wanted}"
        )
    if wanted == EnrolmentStatus.APPLIED:
        return replace(enrolment, status=wanted, applied_at=now)
    intervals = enrolment.intervals
    if wanted == EnrolmentStatus.APPROVED:
        if len(intervals) >= INTERVALS_MAX:
            message = f"an enrolment opens at most {INTERVALS_MAX} times"
            raise CatalogueConflict("enrolment_intervals_exhausted", message)
        intervals = opened(intervals, now)
    elif wanted == EnrolmentStatus.ENDED:
        intervals = closed(intervals, now)
    return replace(enrolment, status=wanted, decided_at=now, intervals=intervals)
