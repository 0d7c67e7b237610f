"""What people do to a conversion: approve, reject, reverse, release, adjust. The caller has locked it."""

import hashlib
import json
from dataclasses import dataclass, replace
from datetime import datetime

from services.conversions.domain.conversion import (
    Actor,
    AdjustmentExceeds,
    Change,
    Conversion,
    adjusted,
    amount_taken_back,
    moved,
)
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.reason_codes import ReasonCode
from services.conversions.domain.transitions import Action, Status
from services.conversions.storage.receipt_store import (
    Adjustment,
    AdjustmentTaken,
    find_adjustment,
    insert_adjustment,
)
from services.conversions.usecases.record_changes import record_changes
from services.conversions.usecases.settle_customers import settle_released
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.money import Money
from shared.runtime.database import Session

_CHANGES = {
    Action.APPROVE: "approved",
    Action.REJECT: "rejected",
    Action.REVERSE: "reversed",
    Action.RELEASE: "released",
}


class AdjustmentConflict(TributaryError):
    """The adjustment id was used for this order with other content."""

    code = "adjustment_conflict"


@dataclass(frozen=True, slots=True)
class Requested:
    """An adjustment as asked for: exactly one of the two amounts. adjustment_id: the caller's, unique per order.

    id_as_sent: before it was screened; it may be recorded so. Never kept.
    """

    adjustment_id: str
    reason_code: ReasonCode
    new_amount: Money | None = None
    refund_amount: Money | None = None
    id_as_sent: str | None = None

    def __post_init__(self) -> None:
        if (self.new_amount is None) == (self.refund_amount is None):
            raise InvalidValue("refund_amount", "one_amount_expected", "give new_amount or refund_amount, exactly one")

    @property
    def content_hash(self) -> bytes:
        """SHA-256 of what was asked."""
        amounts = [None if m is None else [m.amount_minor, m.currency] for m in (self.new_amount, self.refund_amount)]
        return hashlib.sha256(json.dumps(["api", self.reason_code.value, *amounts]).encode("utf-8")).digest()


async def move_conversion(
    session: Session, conversion: Conversion, action: Action, *, actor: Actor, reason: ReasonCode | None, now: datetime
) -> Conversion:
    """The next version after `action`. Raises TransitionRefused."""
    change = moved_change(conversion, action, actor=actor, reason=reason, now=now)
    if action is Action.RELEASE:
        change = replace(change, after=await settle_released(session, change.after))
    await record_changes(session, [change])
    return change.after


def moved_change(
    conversion: Conversion, action: Action, *, actor: Actor, reason: ReasonCode | None, now: datetime
) -> Change:
    """The change that `action` makes, not recorded yet. Raises TransitionRefused."""
    reason_code = None if reason is None else reason.value
    after = moved(conversion, action, reason_code=reason_code, now=now)
    return Change(after, _CHANGES[action], actor, reason_code)


async def adjust_conversion(
    session: Session, conversion: Conversion, requested: Requested, *, actor: Actor, now: datetime
) -> Conversion:
    """The next version with less of the order standing; the same one for an adjustment recorded before.

    Raises AdjustmentConflict, AdjustmentExceeds, InvalidValue, TransitionRefused: then nothing has been written.
    """
    known = await find_adjustment(
        session,
        merchant_id=conversion.merchant_id,
        order_key=conversion.order_key,
        adjustment_ids=[requested.adjustment_id, requested.id_as_sent or requested.adjustment_id],
    )
    if known is not None:
        if known.content_hash != requested.content_hash or known.conversion_id != conversion.id:
            raise AdjustmentConflict("the adjustment id was used with other content")
        return conversion
    taken = amount_taken_back(conversion, _amount_to_take(conversion, requested))
    reason_code = requested.reason_code.value
    after = adjusted(conversion, taken, reason_code=reason_code, now=now)
    is_all = after.net_amount is None or after.net_amount.amount_minor == 0
    adjustment = Adjustment(
        merchant_id=conversion.merchant_id,
        order_key=conversion.order_key,
        adjustment_id=requested.adjustment_id,
        conversion_id=conversion.id,
        content_hash=requested.content_hash,
        taken=taken,
        receipt_id=None,
        outcome=Outcome.FULLY_REFUNDED if is_all else Outcome.ADJUSTMENT_RECORDED,
        status=after.status.value,
        recorded_at=after.changed_at,
    )
    try:
        await insert_adjustment(session, adjustment)
    except AdjustmentTaken:
        raise AdjustmentConflict("the adjustment id is being used for another conversion of the order") from None
    change = "reversed" if after.status is Status.REVERSED else "adjusted"
    await record_changes(session, [Change(after, change, actor, reason_code, requested.adjustment_id)])
    return after


def _amount_to_take(conversion: Conversion, requested: Requested) -> Money:
    if requested.refund_amount is not None:
        return requested.refund_amount
    assert requested.new_amount is not None
    left = conversion.net_amount
    if left is None:
        raise AdjustmentExceeds("the conversion was reported without an amount")
    if requested.new_amount.currency != left.currency:
        raise InvalidValue("new_amount.currency", "currency_mismatch", "must be the currency of the order")
    if requested.new_amount.amount_minor >= left.amount_minor:
        raise AdjustmentExceeds("the new amount must be less than what is left of the order")
    return left - requested.new_amount
