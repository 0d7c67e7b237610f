"""Take something back from an order: a refund, partial or full, by postback. Each (order, adjustment id) once."""

from collections.abc import Sequence
from uuid import UUID

from services.conversions.domain.conversion import AdjustmentExceeds, Change, Conversion, adjusted, amount_taken_back
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.postback import EVENT_REFUND
from services.conversions.domain.reason_codes import ReasonCode
from services.conversions.domain.transitions import Status, TransitionRefused
from services.conversions.storage.conversion_store import lock_by_orders
from services.conversions.storage.receipt_store import Adjustment, find_adjustment, insert_adjustment
from services.conversions.usecases.answer import Answer, refusal_answer
from services.conversions.usecases.judge_postback import FieldFault, Refusal, Submission
from services.conversions.usecases.record_changes import record_changes
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def accept_adjustments(session: Session, submissions: Sequence[Submission]) -> dict[UUID, Answer]:
    """Record the adjustments of a group, one after the other, on orders locked together."""
    orders: dict[tuple[int, str], list[Conversion]] = {}
    for submission in submissions:
        orders.setdefault(_order(submission), [])
    for conversion in await lock_by_orders(session, set(orders)):
        assert conversion.order_id is not None
        orders[conversion.merchant_id, conversion.order_id].append(conversion)
    answers = {}
    for submission in submissions:
        of_order = orders[_order(submission)]
        answer, after = await _accept(session, submission, of_order)
        if after is not None:
            of_order[:] = [after if conversion.id == after.id else conversion for conversion in of_order]
        answers[submission.arrival.receipt_id] = answer
    return answers


def _order(submission: Submission) -> tuple[int, str]:
    postback = submission.postback
    assert postback is not None
    assert postback.order_id is not None
    return submission.arrival.merchant_id, postback.order_id


async def _accept(
    session: Session, submission: Submission, of_order: Sequence[Conversion]
) -> tuple[Answer, Conversion | None]:
    postback, receipt_id = submission.postback, submission.arrival.receipt_id
    assert postback is not None
    assert postback.adjustment_id is not None
    if not of_order:
        return refusal_answer(submission, Refusal(Outcome.CONVERSION_NOT_FOUND)), None
    known = await find_adjustment(
        session,
        merchant_id=submission.arrival.merchant_id,
        order_key=of_order[0].order_key,
        adjustment_ids=postback.adjustment_ids,
    )
    if known is not None:
        if postback.is_content_of(known.content_hash):
            first_receipt = known.receipt_id or receipt_id
            again = Answer(first_receipt, known.outcome, 200, known.conversion_id, known.status, duplicate=True)
            return again, None
        outcome = Outcome.ADJUSTMENT_CONFLICT
        return Answer(receipt_id, outcome, outcome.http_status, known.conversion_id), None
    try:
        return await _take_back(session, submission, _choose(postback.event, of_order))
    except AdjustmentExceeds as fault:
        return _refused(submission, Outcome.ADJUSTMENT_EXCEEDS, fault), None
    except _Ambiguous as fault:
        return _refused(submission, Outcome.EVENT_AMBIGUOUS, fault), None
    except InvalidValue as fault:
        return _refused(submission, Outcome.MALFORMED, fault), None
    except TransitionRefused:
        nothing_left = AdjustmentExceeds("nothing is left of the order")
        return _refused(submission, Outcome.ADJUSTMENT_EXCEEDS, nothing_left), None
    except _NotFound:
        return refusal_answer(submission, Refusal(Outcome.CONVERSION_NOT_FOUND)), None


class _Ambiguous(InvalidValue):
    def __init__(self) -> None:
        super().__init__("event", "event_ambiguous", "the order has conversions of several events: name one")


class _NotFound(Exception):
    """The order has no conversion of the named event."""


def _choose(event: str | None, of_order: Sequence[Conversion]) -> Conversion:
    if event is not None and event != EVENT_REFUND:
        named = [conversion for conversion in of_order if conversion.event == event]
        if not named:
            raise _NotFound
        return named[0]
    if len(of_order) > 1:
        raise _Ambiguous
    return of_order[0]


def _refused(submission: Submission, outcome: Outcome, fault: InvalidValue) -> Answer:
    return refusal_answer(submission, Refusal(outcome, (FieldFault(fault.field, fault.code, fault.message),)))


async def _take_back(session: Session, submission: Submission, conversion: Conversion) -> tuple[Answer, Conversion]:
    postback, arrival = submission.postback, submission.arrival
    assert postback is not None
    assert postback.adjustment_id is not None
    taken = amount_taken_back(conversion, postback.amount)
    reason = ReasonCode.REFUND_REPORTED.value
    after = adjusted(conversion, taken, reason_code=reason, now=arrival.received_at)
    change = "reversed" if after.status is Status.REVERSED else "adjusted"
    await record_changes(session, [Change(after, change, arrival.actor, reason, postback.adjustment_id)])
    is_all = after.net_amount is None or after.net_amount.amount_minor == 0
    outcome = Outcome.FULLY_REFUNDED if is_all else Outcome.ADJUSTMENT_RECORDED
    adjustment = Adjustment(
        merchant_id=arrival.merchant_id,
        order_key=conversion.order_key,
        adjustment_id=postback.adjustment_id,
        conversion_id=conversion.id,
        content_hash=postback.content_hash(),
        taken=taken,
        receipt_id=arrival.receipt_id,
        outcome=outcome,
        status=after.status.value,
        recorded_at=after.changed_at,
    )
    await insert_adjustment(session, adjustment)
    return Answer(arrival.receipt_id, outcome, outcome.http_status, conversion.id, after.status.value), after
