"""Record what a merchant paid, take a payment back, and set what was prepaid against what is owed."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime
from uuid import UUID

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.acts.registry import transactions_of
from services.commissions.domain.ledger import Block
from services.commissions.storage.commission_store import find_projected
from services.commissions.storage.ledger_store import lock_head
from services.commissions.storage.prefunding_store import (
    MerchantPayment,
    MerchantSums,
    find_payment,
    insert_payment,
    sum_merchant,
    sum_merchants,
)
from services.commissions.usecases.post_acts import post_acts
from shared.contracts.catalogue import merchant_key
from shared.kernel.errors import TributaryError
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.runtime.database import Session

_RULE = "rule:prepaid_application"


class MerchantUnknown(TributaryError):
    """No such merchant in the catalogue."""

    code = "merchant_not_found"


class PaymentKnown(TributaryError):
    """The same merchant, day, reference and amount again: most likely the same payment."""

    code = "payment_known"


class PaymentNotFound(TributaryError):
    """No such payment."""

    code = "payment_not_found"


class PaymentTakenBack(TributaryError):
    """It was taken back before, or is itself one that takes back."""

    code = "payment_taken_back"


@dataclass(frozen=True, slots=True)
class PaymentReport:
    """What finance says came in. amount: above zero. reference: as the bank has it. actor: who says so."""

    merchant_id: int
    amount: Money
    received_on: date
    reference: str
    actor: str


async def record_payment(session: Session, report: PaymentReport, *, now: datetime) -> tuple[MerchantPayment, Block]:
    """Book a payment as prepaid, and set it against what is owed already. Raises MerchantUnknown, PaymentKnown."""
    await require_merchant(session, report.merchant_id)
    payment = MerchantPayment(
        payment_id=new_id(),
        merchant_id=report.merchant_id,
        currency=report.amount.currency,
        amount_minor=report.amount.amount_minor,
        received_on=report.received_on,
        reference=report.reference,
        reverses=None,
        reason_code=None,
        recorded_at=now,
        actor=report.actor,
    )
    if not await insert_payment(session, payment):
        raise PaymentKnown("this merchant's payment of this day, reference and amount is recorded already")
    return payment, await _post(session, payment, None, now=now)


async def require_merchant(session: Session, merchant_id: int) -> None:
    """Raises MerchantUnknown where the catalogue has no such merchant."""
    key = merchant_key(merchant_id)
    if key not in await find_projected(session, [key]):
        raise MerchantUnknown("there is no such merchant")


async def take_payment_back(
    session: Session, payment_id: UUID, *, reason_code: str, actor: str, now: datetime
) -> tuple[MerchantPayment, Block]:
    """Book the opposite of a payment that was recorded by mistake, or that the bank returned.

    What it was set against stays set: the merchant then owes the difference as a prepaid balance below zero.
    Raises PaymentNotFound, PaymentTakenBack.
    """
    payment = await find_payment(session, payment_id)
    if payment is None:
        raise PaymentNotFound("there is no such payment")
    back = replace(
        payment,
        payment_id=new_id(),
        amount_minor=-payment.amount_minor,
        reverses=payment.payment_id,
        reason_code=reason_code,
        recorded_at=now,
        actor=actor,
    )
    if payment.reverses is not None or not await insert_payment(session, back):
        raise PaymentTakenBack("a payment is taken back once")
    [booked] = transactions_of(_payment_act(payment, None))
    return back, await _post(session, back, booked.transaction_id, now=now)


async def apply_prepaid(session: Session, *, now: datetime) -> int:
    """Set every merchant's prepaid balance against what it owes, as a month closes; gives how many were set.

    Under the block lock already, so that no posting comes between the sums and the act.
    """
    acts = _applications(await sum_merchants(session), actor=_RULE, now=now)
    await post_acts(session, acts, now=now)
    return len(acts)


async def _post(session: Session, payment: MerchantPayment, reverses: UUID | None, *, now: datetime) -> Block:
    await lock_head(session)
    sums = [
        replace(each, prepaid_minor=each.prepaid_minor - payment.amount_minor)
        for each in await _sums_with(session, payment)
        if each.currency == payment.currency
    ]
    acts = [_payment_act(payment, reverses), *_applications(sums, actor=_RULE, now=now)]
    block = await post_acts(session, acts, now=now)
    assert block is not None, "a payment moves something"
    return block


async def _sums_with(session: Session, payment: MerchantPayment) -> list[MerchantSums]:
    sums = await sum_merchant(session, payment.merchant_id)
    known = any(each.currency == payment.currency for each in sums)
    return sums if known else [*sums, MerchantSums(payment.merchant_id, payment.currency, 0, 0)]


def _payment_act(payment: MerchantPayment, reverses: UUID | None) -> FinanceAct:
    inputs = {
        "merchant_id": payment.merchant_id,
        "amount_minor": payment.amount_minor,
        "currency": payment.currency,
        "received_on": payment.received_on.isoformat(),
        "reverses": None if reverses is None else str(reverses),
    }
    return FinanceAct(
        payment.payment_id, "merchant_payment", inputs, payment.actor, payment.recorded_at, payment.reason_code
    )


def _applications(sums: Iterable[MerchantSums], *, actor: str, now: datetime) -> list[FinanceAct]:
    """What is prepaid against what is owed, whichever is less."""
    applied = [(each, min(-each.prepaid_minor, each.receivable_minor)) for each in sums]
    return [
        FinanceAct(
            new_id(),
            "prepaid_application",
            {"merchant_id": each.merchant_id, "amount_minor": amount, "currency": each.currency},
            actor,
            now,
        )
        for each, amount in applied
        if amount > 0
    ]
