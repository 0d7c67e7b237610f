"""`/v1/erasures`: erase what is kept of a click or of a merchant's customer, and see how far it is."""

import hashlib
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel

from services.conversions.api.conversions import read_id, read_position
from services.conversions.api.desk import desk_of
from services.conversions.api.perform_once import Done, perform_once
from services.conversions.storage.erasure_store import find_erasure, list_erasures
from services.conversions.usecases.request_erasure import ErasureReference, request_erasure
from shared.contracts.topics import CLICKS, TOPICS
from shared.kernel.click_id import read_click_id
from shared.kernel.errors import InvalidValue
from shared.kernel.personal_values import Screen
from shared.runtime.audit import Act
from shared.runtime.database import Session
from shared.runtime.http_app import PlainText, StrictModel, StrictRoute
from shared.runtime.idempotency_key import idempotency_key
from shared.runtime.pagination import LIMIT_DEFAULT, Page, PageCursor, PageLimit, page_of
from shared.runtime.principal import Principal, require_role
from shared.runtime.problem import not_found
from shared.runtime.wire_model import WireId

CLICK_LOG_KEPT: Final = timedelta(days=TOPICS[CLICKS].retention_days or 0)

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["privacy"])
Admin = Annotated[Principal, Depends(require_role("admin"))]
Key = Annotated[str | None, Depends(idempotency_key)]


class ErasureBody(StrictModel):
    """Either click_id, or merchant_id and the merchant's own reference of its customer."""

    click_id: Annotated[str, PlainText(64)] | None = None
    merchant_id: WireId | None = None
    customer_id: Annotated[str, PlainText(128)] | None = None


class ServiceErasure(BaseModel):
    """How far one service is. nothing_held: it keeps nothing personal. clicks, clicks_done: those concerned."""

    service: Literal["gateway", "clicks", "conversions", "commissions"]
    status: Literal["pending", "done", "nothing_held"]
    done_at: datetime | None = None
    clicks: int | None = None
    clicks_done: int | None = None


class ErasureAnswer(BaseModel):
    """One request. event_log_clear_at: when the last copy in an Apache Kafka log has expired, at the latest."""

    id: str
    kind: Literal["click", "customer"]
    merchant_id: int | None
    status: Literal["pending", "done"]
    requested_at: datetime
    event_log_clear_at: datetime
    services: list[ServiceErasure]


@router.post("/erasures", status_code=202, response_model=ErasureAnswer)
async def create_erasure(request: Request, caller: Admin, body: ErasureBody, key: Key = None) -> Response:
    """Erase what is kept of a click or of a customer. The same reference again is the same request, kept as a hash."""
    desk = desk_of(request)
    reference = _reference(body, desk.screen)

    async def effect(session: Session) -> Done:
        row, is_new = await request_erasure(session, reference, requested_by=caller.key_id, now=desk.clock.now())
        act = Act.of("erasure", row["id"], _state, None if is_new else row, row)
        return Done(_answer(row).model_dump_json().encode("utf-8"), act)

    asked_hash = hashlib.sha256(reference.reference_hash.encode("ascii")).digest()
    return await perform_once(request, caller, key, effect, asked_hash=asked_hash, status=202)


@router.get("/erasures")
async def get_erasures(
    request: Request, caller: Admin, limit: PageLimit = LIMIT_DEFAULT, cursor: PageCursor = None
) -> Page[ErasureAnswer]:
    """Requests to erase, newest first."""
    async with desk_of(request).staff.transaction() as session:
        rows = await list_erasures(session, before=read_position(cursor), limit=limit + 1)
    shown, next_cursor = page_of(rows, limit, lambda row: {"id": str(row["id"])})
    return Page(items=[_answer(row) for row in shown], next_cursor=next_cursor)


@router.get("/erasures/{erasure_id}")
async def get_erasure(request: Request, caller: Admin, erasure_id: str) -> ErasureAnswer:
    """One request to erase, and how far each service is."""
    wanted = read_id(erasure_id)
    async with desk_of(request).staff.transaction() as session:
        row = None if wanted is None else await find_erasure(session, wanted)
    if row is None:
        raise not_found("erasure_not_found", "There is no such erasure.")
    return _answer(row)


def _reference(body: ErasureBody, screen: Screen) -> ErasureReference:
    if body.click_id is not None:
        if body.merchant_id is not None or body.customer_id is not None:
            raise InvalidValue("click_id", "reference_ambiguous", "give a click_id, or merchant_id and customer_id")
        return ErasureReference.of_click(screen, read_click_id(body.click_id), body.click_id)
    if body.merchant_id is None:
        raise InvalidValue("merchant_id", "reference_required", "give a click_id, or merchant_id and customer_id")
    if body.customer_id is None:
        raise InvalidValue("customer_id", "reference_required", "is required with merchant_id")
    return ErasureReference.of_customer(screen, merchant_id=body.merchant_id, customer_id=body.customer_id)


def _answer(row: Mapping[str, Any]) -> ErasureAnswer:
    is_executed = row["executed_at"] is not None
    clicks_are_done = is_executed and row["clicks_done"] == row["clicks"]
    return ErasureAnswer(
        id=str(row["id"]),
        kind=row["kind"],
        merchant_id=row["merchant_id"],
        status="done" if clicks_are_done else "pending",
        requested_at=row["requested_at"],
        event_log_clear_at=row["requested_at"] + CLICK_LOG_KEPT,
        services=[
            ServiceErasure(
                service="conversions", status="done" if is_executed else "pending", done_at=row["executed_at"]
            ),
            ServiceErasure(
                service="clicks",
                status="done" if clicks_are_done else "pending",
                done_at=(row["last_done_at"] or row["executed_at"]) if clicks_are_done else None,
                clicks=row["clicks"],
                clicks_done=row["clicks_done"],
            ),
            ServiceErasure(service="commissions", status="nothing_held"),
            ServiceErasure(service="gateway", status="nothing_held"),
        ],
    )


def _state(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the audit chain vouches for: the request, not what it is about."""
    return {name: row[name] for name in ("id", "kind", "merchant_id", "requested_at")}
