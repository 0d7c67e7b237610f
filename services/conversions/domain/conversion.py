"""A conversion at one version, and how a change makes the next."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from services.conversions.domain.attribution import Reported, Verdict
from services.conversions.domain.facts import Facts
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.step import Step
from services.conversions.domain.transitions import Action, Status, next_status
from shared.kernel.click_id import Click
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, zero

NO_SUBS: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class ClickDetails:
    """What the click's own record adds: never needed for credit, shown to the affiliate."""

    subs: Mapping[str, str]
    aff_click_id: str | None
    source: str | None
    creative: str | None


@dataclass(frozen=True, slots=True)
class Conversion:
    """The whole state. first_*: of the first receipt, which decides ages and answers duplicates.

    click_id: 35 bytes. click fields are absent while no click is known. approve_at: end of the validation days.
    facts: None where it was recorded before there were any. customer_first_at: when the customer was first recorded
    for a recurring offer.
    """

    id: UUID
    merchant_id: int
    event: str
    dedupe_key: str
    version: int
    status: Status
    outcome: Outcome
    first_received_at: datetime
    first_receipt_id: UUID
    first_outcome: Outcome
    first_status: Status
    content_hash: bytes
    clickless_hash: bytes
    changed_at: datetime
    is_batch: bool = False
    order_id: str | None = None
    click_id: bytes | None = None
    clicked_at: datetime | None = None
    click_flags: int = 0
    offer_id: int | None = None
    offer_version: int | None = None
    affiliate_id: int | None = None
    attributed_by: str | None = None
    order_amount: Money | None = None
    net_amount: Money | None = None
    ordered_at: datetime | None = None
    approve_at: datetime | None = None
    reason_code: str | None = None
    coupon: str | None = None
    customer_id: str | None = None
    customer_status: str | None = None
    items: str | None = None
    merchant_subs: Mapping[str, str] = field(default_factory=lambda: NO_SUBS)
    details: ClickDetails | None = None
    facts: Facts | None = None
    customer_first_at: datetime | None = None

    @property
    def reported(self) -> Reported:
        """What attribution judges."""
        return Reported(
            merchant_id=self.merchant_id,
            event=self.event,
            has_amount=self.order_amount is not None,
            has_coupon=self.coupon is not None,
            has_customer=self.customer_id is not None,
            first_received_at=self.first_received_at,
            ordered_at=self.ordered_at,
            is_batch=self.is_batch,
        )

    @property
    def order_key(self) -> str:
        """What its adjustments are unique under: the order, or the conversion itself where there is none."""
        return f"o:{self.order_id}" if self.order_id is not None else f"c:{self.id}"


@dataclass(frozen=True, slots=True)
class Actor:
    """Who made a version. kind: merchant_postback, merchant, admin, rule. key: the API key or credential used."""

    kind: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """One new version: the state after it, and its line on the trail."""

    after: Conversion
    change: str
    actor: Actor
    reason_code: str | None = None
    adjustment_id: str | None = None
    steps: tuple[Step, ...] = ()


class AdjustmentExceeds(InvalidValue):
    """More is taken back than is left of the order."""

    def __init__(self, message: str = "is more than what is left of the order") -> None:
        super().__init__("amount", "adjustment_exceeds", message)


def with_click(conversion: Conversion, click_id: bytes, click: Click) -> Conversion:
    """The conversion with what the click ID says, before any verdict."""
    return replace(
        conversion,
        click_id=click_id,
        clicked_at=click.clicked_at,
        click_flags=int(click.flags),
        offer_id=click.offer_id,
        offer_version=click.offer_version,
        affiliate_id=click.affiliate_id,
    )


def with_verdict(conversion: Conversion, verdict: Verdict) -> Conversion:
    """The conversion as the verdict leaves it; the version is the caller's.

    Where the customer's owner gets it, a click that lost leaves the state: it may be another affiliate's. Its step
    stays on the trail.
    """
    decided = replace(
        conversion,
        status=verdict.status,
        outcome=verdict.outcome,
        attributed_by=verdict.attributed_by,
        approve_at=verdict.approve_at,
    )
    owner = verdict.owner
    if owner is None:
        return decided
    return replace(
        decided,
        affiliate_id=owner.affiliate_id,
        offer_id=owner.version.offer_id,
        offer_version=owner.version.version,
        customer_first_at=owner.first_at,
        click_id=None,
        clicked_at=None,
        click_flags=0,
        details=None,
    )


def next_version(conversion: Conversion, now: datetime) -> Conversion:
    """The same state as the version after, recorded at `now`, never before the version it follows."""
    return replace(conversion, version=conversion.version + 1, changed_at=max(now, conversion.changed_at))


def moved(conversion: Conversion, action: Action, *, reason_code: str | None, now: datetime) -> Conversion:
    """The version after `action`. A reversal leaves nothing of the order. Raises TransitionRefused."""
    status = next_status(conversion.status, action)
    net = conversion.net_amount
    if status is Status.REVERSED and net is not None:
        net = zero(net.currency)
    return replace(next_version(conversion, now), status=status, net_amount=net, reason_code=reason_code)


def amount_taken_back(conversion: Conversion, amount: Money | None) -> Money | None:
    """What an adjustment of `amount` takes; None stands for all of what is left. Raises AdjustmentExceeds."""
    left = conversion.net_amount
    if conversion.status is Status.REVERSED or (left is not None and left.amount_minor == 0 and amount is None):
        raise AdjustmentExceeds("nothing is left of the order")
    if left is None:
        if amount is not None:
            raise AdjustmentExceeds("the conversion was reported without an amount: leave it out")
        return None
    if amount is None:
        return left
    if amount.currency != left.currency:
        raise InvalidValue("currency", "currency_mismatch", "must be the currency of the order")
    if amount.amount_minor == 0:
        raise InvalidValue("amount", "amount_zero", "must be more than zero")
    if amount.amount_minor > left.amount_minor:
        raise AdjustmentExceeds
    return amount


def adjusted(conversion: Conversion, taken: Money | None, *, reason_code: str, now: datetime) -> Conversion:
    """The version after `taken` (see amount_taken_back) was taken back. Raises TransitionRefused."""
    net = None if conversion.net_amount is None or taken is None else conversion.net_amount - taken
    is_all = net is None or net.amount_minor == 0
    status = next_status(conversion.status, Action.REFUND_ALL if is_all else Action.REFUND_PART)
    after = next_version(conversion, now)
    return replace(after, status=status, net_amount=net, reason_code=reason_code)
