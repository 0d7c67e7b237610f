"""Enrolments: a table of steps, and intervals that never overlap."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.enrolments import (
    ENROLMENT_TRANSITIONS,
    INTERVALS_MAX,
    Enrolment,
    EnrolmentStatus,
    advance_enrolment,
)
from services.gateway.domain.intervals import Interval
from services.gateway.domain.offers import OFFER_TRANSITIONS, OfferStatus
from services.gateway.domain.refusals import CatalogueConflict

NOW = datetime(2026, 11, 24, 8, 0, tzinfo=UTC)
APPLIED = Enrolment(
    enrolment_id=1,
    offer_id=2,
    affiliate_id=3,
    merchant_id=4,
    status=EnrolmentStatus.APPLIED,
    applied_at=NOW,
    decided_at=None,
)


def test_every_status_has_its_steps() -> None:
    assert set(ENROLMENT_TRANSITIONS) == set(EnrolmentStatus)
    assert set(OFFER_TRANSITIONS) == set(OfferStatus)


@given(
    st.lists(st.tuples(st.sampled_from(EnrolmentStatus), st.integers(-3_600, 3_600)), max_size=40),
)
def test_intervals_never_overlap_whatever_the_steps_and_the_clock(
    steps: list[tuple[EnrolmentStatus, int]],
) -> None:
    enrolment, now = APPLIED, NOW
    for wanted, seconds in steps:
        now += timedelta(seconds=seconds)
        try:
            enrolment = advance_enrolment(enrolment, wanted, now)
        except CatalogueConflict:
            continue

        intervals = enrolment.intervals
        ends = [interval.end_at for interval in intervals]
        assert all(end is not None for end in ends[:-1])
        assert (bool(ends) and ends[-1] is None) == (enrolment.status == EnrolmentStatus.APPROVED)
        for before, after in pairwise(intervals):
            assert before.end_at is not None
            assert before.start_at <= before.end_at <= after.start_at


def test_a_step_already_taken_changes_nothing() -> None:
    assert advance_enrolment(APPLIED, EnrolmentStatus.APPLIED, NOW) is APPLIED


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        (EnrolmentStatus.APPLIED, EnrolmentStatus.ENDED),
        (EnrolmentStatus.APPROVED, EnrolmentStatus.APPLIED),
        (EnrolmentStatus.APPROVED, EnrolmentStatus.REJECTED),
        (EnrolmentStatus.REJECTED, EnrolmentStatus.ENDED),
        (EnrolmentStatus.ENDED, EnrolmentStatus.REJECTED),
    ],
)
def test_other_steps_are_refused(status: EnrolmentStatus, wanted: EnrolmentStatus) -> None:
    enrolment = replace(APPLIED, status=status, intervals=(Interval(NOW),))

    with pytest.raises(CatalogueConflict):
        advance_enrolment(enrolment, wanted, NOW)


def test_an_enrolment_cannot_grow_without_end() -> None:
    enrolment = APPLIED
    for _ in range(INTERVALS_MAX):
        enrolment = advance_enrolment(enrolment, EnrolmentStatus.APPROVED, NOW)
        enrolment = advance_enrolment(enrolment, EnrolmentStatus.ENDED, NOW)

    with pytest.raises(CatalogueConflict):
        advance_enrolment(enrolment, EnrolmentStatus.APPROVED, NOW)
