"""Who caused a conversion: the rules in order, each leaving its step on the trail, whether it won or not.

Order: exclusive coupon (none exist yet) → valid click ID → customer ownership → nobody. What held at the click holds
(I10): its flags are obeyed, its offer version's window and terms decide; for an owned customer, the first order's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from services.conversions.domain.catalogue import OfferVersion
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.ownership import Owner, find_owner
from services.conversions.domain.step import Step
from services.conversions.domain.transitions import Status
from shared.kernel.click_id import Click, ClickFlags

CLOCK_SKEW_SECONDS: Final = 2
"""How far a click's clock may run ahead of ours: such a click counts as age 0."""

BY_CLICK_ID: Final = "click_id"
BY_CUSTOMER: Final = "customer"


@dataclass(frozen=True, slots=True)
class Verdict:
    """status: waiting, pending, held, rejected or unattributed. approve_at: end of the validation days, if pending.

    owner: whom the customer belongs to, where that decided; then the click, if there is one, decided nothing.
    """

    status: Status
    outcome: Outcome
    attributed_by: str | None
    approve_at: datetime | None
    steps: tuple[Step, ...]
    owner: Owner | None = None


@dataclass(frozen=True, slots=True)
class Reported:
    """What attribution needs of a postback. first_received_at: of the conversion's first receipt.

    is_batch: came as part of a batch, so that it may arrive late. ordered_at: the merchant's own time.
    """

    merchant_id: int
    event: str
    has_amount: bool
    has_coupon: bool
    has_customer: bool
    first_received_at: datetime
    ordered_at: datetime | None = None
    is_batch: bool = False


_FLAGS: Final = (
    (ClickFlags.INACTIVE, Outcome.OFFER_INACTIVE, "the offer took no clicks when it was clicked"),
    (ClickFlags.UNENROLLED, Outcome.NOT_ENROLLED, "the affiliate was not enrolled when it was clicked"),
    (ClickFlags.OVER_CLICK_CAP, Outcome.OVER_CLICK_CAP, "the offer's click cap was reached when it was clicked"),
)
_NO_COUPON: Final = Step("exclusive_coupon", "not_applicable", "no coupon was reported")
_COUPON: Final = Step("exclusive_coupon", "passed", "the coupon belongs to no affiliate")
_NO_CLICK: Final = Step("click_id", "not_applicable", "no click ID was reported")
_NOBODY: Final = Step("nobody", "won", "no rule found an affiliate")


def click_age_seconds(clicked_at: datetime, first_received_at: datetime) -> int:
    """Age of a click in whole seconds, fractions dropped: at the limit it counts, one second later not."""
    age = (first_received_at - clicked_at) // timedelta(seconds=1)
    return 0 if -CLOCK_SKEW_SECONDS <= age < 0 else age


def attribute(
    reported: Reported, click: Click | None, version: OfferVersion | None, owners: Sequence[Owner] = ()
) -> Verdict:
    """The verdict on a conversion.

    click: what its verified click ID says, None without one. version: the click's offer version, None while it has
    not arrived: the one thing that makes a conversion wait. owners: the affiliates that own its customer, one an offer.
    """
    coupon = _COUPON if reported.has_coupon else _NO_COUPON
    if click is None:
        return _by_customer(reported, owners, (coupon, _NO_CLICK)) or _credits_nobody(reported, owners, coupon)
    if version is None:
        waiting = Step("click_id", "passed", "the click's offer version has not arrived yet")
        return Verdict(Status.WAITING, Outcome.WAITING_FOR_OFFER_VERSION, None, None, (coupon, waiting))
    refusal = _refusal(reported, click, version)
    if refusal is not None:
        outcome, reason = refusal
        steps = (coupon, Step("click_id", "lost", reason))
        by_customer = _by_customer(reported, owners, steps)
        if by_customer is not None:
            return by_customer
        more = (_find_owner(reported, owners)[1],) if owners else ()
        return Verdict(Status.REJECTED, outcome, None, None, (*steps, *more))
    return _by_click(reported, click, version, coupon)


def _by_click(reported: Reported, click: Click, version: OfferVersion, coupon: Step) -> Verdict:
    approve_at = reported.first_received_at + timedelta(days=version.validation_days)
    if click.flags & ClickFlags.ROBOT:
        step = Step("click_id", "won", "held: the click came from a robot; an admin decides")
        return Verdict(Status.HELD, Outcome.HELD_ROBOT, BY_CLICK_ID, approve_at, (coupon, step))
    if click.flags & ClickFlags.FLOOD:
        step = Step("click_id", "won", "held: the click came in a flood from one address; an admin decides")
        return Verdict(Status.HELD, Outcome.HELD_FLOOD, BY_CLICK_ID, approve_at, (coupon, step))
    step = Step("click_id", "won", f"the click was {_age(reported, click)} s old")
    return Verdict(Status.PENDING, Outcome.RECORDED, BY_CLICK_ID, approve_at, (coupon, step))


def _by_customer(reported: Reported, owners: Sequence[Owner], steps: tuple[Step, ...]) -> Verdict | None:
    """The verdict for the affiliate that owns the customer; None where none does, or not for this order."""
    owner, step = _find_owner(reported, owners)
    if owner is None:
        return None
    approve_at = reported.first_received_at + timedelta(days=owner.version.validation_days)
    return Verdict(Status.PENDING, Outcome.RECORDED, BY_CUSTOMER, approve_at, (*steps, step), owner)


def _credits_nobody(reported: Reported, owners: Sequence[Owner], coupon: Step) -> Verdict:
    _, step = _find_owner(reported, owners)
    return Verdict(Status.UNATTRIBUTED, Outcome.UNATTRIBUTED, None, None, (coupon, _NO_CLICK, step, _NOBODY))


def _find_owner(reported: Reported, owners: Sequence[Owner]) -> tuple[Owner | None, Step]:
    return find_owner(
        owners,
        event=reported.event,
        received_at=reported.first_received_at,
        has_customer=reported.has_customer,
        has_amount=reported.has_amount,
    )


def _refusal(reported: Reported, click: Click, version: OfferVersion) -> tuple[Outcome, str] | None:
    if version.merchant_id != reported.merchant_id:
        return Outcome.FOREIGN_OFFER_DISCOVERED, "the click belongs to an offer of another merchant"
    for flag, outcome, reason in _FLAGS:
        if click.flags & flag:
            return outcome, reason
    if reported.event not in version.needs_amount:
        return Outcome.EVENT_NOT_OF_OFFER, "the offer version has no terms for this event"
    if version.needs_amount[reported.event] and not reported.has_amount:
        return Outcome.AMOUNT_MISSING, "the terms are a percentage and no amount was reported"
    return _window_refusal(reported, click, version)


def _window_refusal(reported: Reported, click: Click, version: OfferVersion) -> tuple[Outcome, str] | None:
    age = _age(reported, click)
    if age < version.window_min_seconds:
        return Outcome.CLICK_TOO_RECENT, f"{age} s old, at least {version.window_min_seconds} s are needed"
    if age <= version.window_max_seconds:
        return None
    too_old = (Outcome.CLICK_TOO_OLD, f"{age} s old, at most {version.window_max_seconds} s count")
    if not reported.is_batch or reported.ordered_at is None:
        return too_old
    age_when_ordered = click_age_seconds(click.clicked_at, reported.ordered_at)
    if not version.window_min_seconds <= age_when_ordered <= version.window_max_seconds:
        return too_old
    if reported.first_received_at - reported.ordered_at <= timedelta(hours=version.late_hours):
        return None
    return Outcome.LATE_BATCH, f"ordered in time, but reported more than {version.late_hours} h later"


def _age(reported: Reported, click: Click) -> int:
    return click_age_seconds(click.clicked_at, reported.first_received_at)
