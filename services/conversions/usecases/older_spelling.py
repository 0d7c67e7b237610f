"""Orders that were recorded before values were screened keep the id they have: repeats and refunds must find them."""

from collections.abc import Sequence
from dataclasses import replace

from services.conversions.storage.conversion_store import find_orders
from services.conversions.usecases.judge_postback import Submission
from shared.runtime.database import Session


async def as_recorded(session: Session, submissions: Sequence[Submission]) -> Sequence[Submission]:
    """`submissions`, those of an order that stands under its id as sent with that id again.

    Asks the database only about ids that were screened. Any other id would make the repeat a second order, and pay it
    twice.
    """
    sent = {submission.arrival.receipt_id: order for submission in submissions if (order := _order_as_sent(submission))}
    if not sent:
        return submissions
    recorded = await find_orders(session, set(sent.values()))
    return [
        _with_order(submission, order[1])
        if (order := sent.get(submission.arrival.receipt_id)) in recorded and order is not None
        else submission
        for submission in submissions
    ]


def _order_as_sent(submission: Submission) -> tuple[int, str] | None:
    """Merchant and order id before screening, where that changed it."""
    postback = submission.postback
    as_sent = None if postback is None else postback.as_sent
    if postback is None or as_sent is None or as_sent.order_id in (None, postback.order_id):
        return None
    assert as_sent.order_id is not None
    return submission.arrival.merchant_id, as_sent.order_id


def _with_order(submission: Submission, order_id: str) -> Submission:
    assert submission.postback is not None
    return replace(submission, postback=replace(submission.postback, order_id=order_id))
