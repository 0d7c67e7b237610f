"""`POST /v1/conversions/{ref}/…`: approve, reject, reverse, adjust, release. ref: an id, or `order:{order_id}`."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated

import orjson
from fastapi import APIRouter, Depends, Query, Request, Response

from services.conversions.api.conversion_answers import ConversionAnswer, conversion_answer
from services.conversions.api.desk import desk_of
from services.conversions.api.perform_once import Done, perform_once
from services.conversions.domain.conversion import Actor, Conversion
from services.conversions.domain.reason_codes import parse_reason_code
from services.conversions.domain.transitions import Action, Status, TransitionRefused
from services.conversions.usecases.audited import conversion_act
from services.conversions.usecases.change_conversion import (
    AdjustmentConflict,
    Requested,
    adjust_conversion,
    move_conversion,
)
from services.conversions.usecases.find_target import ConversionNotFound, lock_target
from shared.kernel.money import Money, parse_money
from shared.runtime.database import Session
from shared.runtime.http_app import MoneyModel, PlainText, StrictModel, StrictRoute
from shared.runtime.idempotency_key import idempotency_key
from shared.runtime.principal import Principal, require_role
from shared.runtime.problem import conflict, not_found, role_not_allowed

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["conversions"])
Changer = Annotated[Principal, Depends(require_role("merchant", "admin"))]
Admin = Annotated[Principal, Depends(require_role("admin"))]
Key = Annotated[str | None, Depends(idempotency_key)]
Event = Annotated[str | None, Query(pattern=r"^[a-z0-9_]{1,32}$")]
Effect = Callable[[Session, Conversion], Awaitable[Conversion]]


class ReasonBody(StrictModel):
    """Why; the README lists the codes."""

    reason_code: Annotated[str, PlainText(32)]


class AdjustBody(StrictModel):
    """Exactly one of new_amount (what the order is worth now) and refund_amount (what is taken back)."""

    adjustment_id: Annotated[str, PlainText(64)]
    reason_code: Annotated[str, PlainText(32)]
    new_amount: MoneyModel | None = None
    refund_amount: MoneyModel | None = None


@router.post("/conversions/{ref}/approve", response_model=ConversionAnswer)
async def approve(request: Request, caller: Changer, ref: str, event: Event = None, key: Key = None) -> Response:
    """Approve a conversion. pending → approved, before the validation days have passed."""
    return await _change(request, caller, ref, event, key, None, _mover(request, caller, Action.APPROVE, None))


@router.post("/conversions/{ref}/reject", response_model=ConversionAnswer)
async def reject(
    request: Request, caller: Changer, ref: str, body: ReasonBody, event: Event = None, key: Key = None
) -> Response:
    """Reject a conversion. Not credited after all; a held one only by an admin."""
    effect = _mover(request, caller, Action.REJECT, body.reason_code)
    return await _change(request, caller, ref, event, key, body, effect)


@router.post("/conversions/{ref}/reverse", response_model=ConversionAnswer)
async def reverse(
    request: Request, caller: Changer, ref: str, body: ReasonBody, event: Event = None, key: Key = None
) -> Response:
    """Reverse a conversion. pending or approved → reversed: nothing of the order is left."""
    effect = _mover(request, caller, Action.REVERSE, body.reason_code)
    return await _change(request, caller, ref, event, key, body, effect)


@router.post("/conversions/{ref}/release", response_model=ConversionAnswer)
async def release(request: Request, caller: Admin, ref: str, event: Event = None, key: Key = None) -> Response:
    """Release a held conversion. held → pending, by an admin."""
    return await _change(request, caller, ref, event, key, None, _mover(request, caller, Action.RELEASE, None))


@router.post("/conversions/{ref}/adjust", response_model=ConversionAnswer)
async def adjust(
    request: Request, caller: Changer, ref: str, body: AdjustBody, event: Event = None, key: Key = None
) -> Response:
    """Take back a part of an order. Each adjustment_id of an order counts once; the same again changes nothing."""
    requested = Requested(
        adjustment_id=desk_of(request).screen.text(body.adjustment_id),
        id_as_sent=body.adjustment_id,
        reason_code=parse_reason_code(body.reason_code),
        new_amount=_money(body.new_amount, "new_amount"),
        refund_amount=_money(body.refund_amount, "refund_amount"),
    )
    now = desk_of(request).clock.now()

    async def effect(session: Session, conversion: Conversion) -> Conversion:
        return await adjust_conversion(session, conversion, requested, actor=_actor(caller), now=now)

    return await _change(request, caller, ref, event, key, body, effect)


def _mover(request: Request, caller: Principal, action: Action, reason_text: str | None) -> Effect:
    reason = None if reason_text is None else parse_reason_code(reason_text)
    now = desk_of(request).clock.now()

    async def effect(session: Session, conversion: Conversion) -> Conversion:
        if conversion.status is Status.HELD and caller.role != "admin":
            raise role_not_allowed()
        return await move_conversion(session, conversion, action, actor=_actor(caller), reason=reason, now=now)

    return effect


async def _change(
    request: Request,
    caller: Principal,
    ref: str,
    event: str | None,
    key: str | None,
    body: StrictModel | None,
    effect: Effect,
) -> Response:
    """Run `effect` on the conversion meant, once per idempotency key, in one transaction with the answer."""
    desk = desk_of(request)
    asked_hash = hashlib.sha256(
        orjson.dumps([request.url.path, event, None if body is None else body.model_dump(mode="json")])
    ).digest()

    async def change(session: Session) -> Done:
        before = await lock_target(session, ref, event=event, merchant_id=caller.merchant_id, screen=desk.screen)
        after = await effect(session, before)
        answer = conversion_answer(after, caller).model_dump_json().encode("utf-8")
        return Done(answer, conversion_act(before, after))

    try:
        return await perform_once(request, caller, key, change, asked_hash=asked_hash)
    except ConversionNotFound:
        raise not_found("conversion_not_found", "There is no such conversion.") from None
    except TransitionRefused as refusal:
        raise conflict("transition_refused", f"A conversion that is {refusal.status} cannot take this.") from None
    except AdjustmentConflict:
        raise conflict("adjustment_conflict", "This adjustment_id was used with other content.") from None


def _actor(caller: Principal) -> Actor:
    return Actor(caller.role, caller.key_id)


def _money(given: MoneyModel | None, field: str) -> Money | None:
    return None if given is None else parse_money(given.amount, given.currency, field=f"{field}.amount")
