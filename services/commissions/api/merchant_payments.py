"""`/v1/merchant-payments`: what merchants paid the network, recorded by finance and never edited."""

from datetime import date, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.domain.ledger import Block
from services.commissions.storage.prefunding_store import MerchantPayment, list_payments
from services.commissions.usecases.audited_payments import merchant_payment_act
from services.commissions.usecases.record_payment import (
    MerchantUnknown,
    PaymentKnown,
    PaymentNotFound,
    PaymentReport,
    PaymentTakenBack,
    record_payment,
    take_payment_back,
)
from shared.kernel.money import Money, parse_money
from shared.kernel.personal_values import may_be_personal
from shared.runtime.database import Session
from shared.runtime.http_app import MoneyAnswer, MoneyModel, PlainText, QueryId, StrictModel, StrictRoute, WireId
from shared.runtime.pagination import LIMIT_DEFAULT, Page, PageCursor, PageLimit, cursor_text, decode_cursor, page_of
from shared.runtime.principal import Principal, own_or_asked, require_role
from shared.runtime.problem import conflict, field_invalid, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["merchant payments"])
Payer = Annotated[Principal, Depends(require_role("merchant", "admin", "finance"))]
ReasonCode = Annotated[str, Field(pattern="^[a-z0-9_]{1,64}$")]


class PaymentBody(StrictModel):
    """What came in. reference: as the bank has it, never a person's name. received_on: the bank's day."""

    merchant_id: WireId
    amount: MoneyModel
    received_on: date
    reference: Annotated[str, PlainText(140)]


class TakenBackBody(StrictModel):
    """Why a payment is taken back, such as `returned_by_bank` or `recorded_by_mistake`."""

    reason_code: ReasonCode


class PaymentAnswer(BaseModel):
    """One payment. amount: below zero for one that takes another back, which `reverses` names."""

    payment_id: UUID
    merchant_id: int
    amount: MoneyAnswer
    received_on: date
    reference: str
    reverses: UUID | None
    reason_code: str | None
    recorded_at: datetime


class PaymentBookedAnswer(PaymentAnswer):
    """A payment as it was booked. block_number: of the block that seals it."""

    block_number: int


@router.post("/merchant-payments", status_code=201, response_model=PaymentBookedAnswer)
async def post_merchant_payment(request: Request, caller: Staff, body: PaymentBody) -> Response:
    """Record a payment: it is prepaid, and what the merchant owes already is settled from it."""
    desk = desk_of(request)
    amount = parse_money(body.amount.amount, body.amount.currency, field="amount.amount")
    if amount.amount_minor == 0:
        raise field_invalid("amount.amount", "amount_zero", "must be above zero")
    if may_be_personal(body.reference):
        raise field_invalid("reference", "reference_personal", "looks like personal data; use the bank's reference")

    async def effect(session: Session) -> Done:
        report = PaymentReport(body.merchant_id, amount, body.received_on, body.reference, f"key:{caller.key_id}")
        try:
            payment, block = await record_payment(session, report, now=desk.clock.now())
        except MerchantUnknown as unknown:
            raise not_found(unknown.code, "There is no such merchant.") from None
        except PaymentKnown as known:
            raise conflict(known.code, "This payment is recorded already; another one has another reference.") from None
        return _done(payment, block)

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"), status=201)


@router.post("/merchant-payments/{payment_id}/take-back", status_code=201, response_model=PaymentBookedAnswer)
async def take_back_merchant_payment(
    request: Request, caller: Staff, payment_id: UUID, body: TakenBackBody
) -> Response:
    """Book the opposite of a payment, once, with its reason."""
    desk = desk_of(request)

    async def effect(session: Session) -> Done:
        try:
            payment, block = await take_payment_back(
                session, payment_id, reason_code=body.reason_code, actor=f"key:{caller.key_id}", now=desk.clock.now()
            )
        except PaymentNotFound as missing:
            raise not_found(missing.code, "There is no such payment.") from None
        except PaymentTakenBack as refused:
            raise conflict(refused.code, "This payment is taken back already, or takes back another.") from None
        return _done(payment, block)

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"), status=201)


@router.get("/merchant-payments", response_model=Page[PaymentAnswer])
async def get_merchant_payments(
    request: Request,
    caller: Payer,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    merchant_id: QueryId | None = None,
) -> dict[str, Any]:
    """Payments, newest first: a merchant's own, or everybody's for staff."""
    payer = own_or_asked(caller.merchant_id, merchant_id)
    before = None if cursor is None else UUID(cursor_text(decode_cursor(cursor, keys=("id",)), "id"))
    async with desk_of(request).reading(caller) as session:
        rows = await list_payments(session, merchant_id=payer, before=before, limit=limit + 1)
    shown, next_cursor = page_of(rows, limit, lambda row: {"id": str(row.payment_id)})
    return {"items": [_document(row) for row in shown], "next_cursor": next_cursor}


def _done(payment: MerchantPayment, block: Block) -> Done:
    answer = PaymentBookedAnswer(**_document(payment), block_number=block.number)
    return Done(answer.model_dump(mode="json"), merchant_payment_act(payment))


def _document(payment: MerchantPayment) -> dict[str, Any]:
    return {
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant_id,
        "amount": MoneyAnswer.of(Money(payment.amount_minor, payment.currency)),
        "received_on": payment.received_on,
        "reference": payment.reference,
        "reverses": payment.reverses,
        "reason_code": payment.reason_code,
        "recorded_at": payment.recorded_at,
    }
