"""`/v1/conversions`: reading them, and reporting them with an API key."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from services.conversions.api.answers import encode_answer, full_document, not_now, trace_header
from services.conversions.api.conversion_answers import (
    ConversionAnswer,
    ConversionTrailAnswer,
    conversion_answer,
    version_answer,
)
from services.conversions.api.desk import Desk, desk_of
from services.conversions.api.postback_interface import BATCH_MAX, REPORT_INTERFACE
from services.conversions.domain.conversion import Actor, Conversion
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.transitions import Status
from services.conversions.storage.conversion_queries import (
    ConversionFilter,
    find_conversion,
    list_conversions,
    list_versions,
)
from services.conversions.usecases.answer import Answer
from services.conversions.usecases.judge_postback import Arrival, FieldFault, Refusal, Submission, refused
from services.conversions.usecases.postback_group import PostbacksUnavailable
from shared.kernel.ids import new_id
from shared.runtime.database import Database
from shared.runtime.http_app import (
    BODY_BYTES_MAX,
    PlainText,
    QueryId,
    QueryInstant,
    StrictRoute,
    read_body,
    request_id_of,
)
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_parsed,
    decode_cursor,
    page_of,
)
from shared.runtime.principal import Principal, own_or_asked, require_role, tenant_of
from shared.runtime.problem import Problem, field_invalid, not_found, unsupported_media_type
from shared.runtime.strict_route import is_json, parse_json
from shared.runtime.told_trace import Told
from shared.runtime.tracing import keeps

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["conversions"])
Reader = Annotated[Principal, Depends(require_role("affiliate", "merchant", "admin", "finance"))]
Reporter = Annotated[Principal, Depends(require_role("merchant"))]


def database_for(desk: Desk, caller: Principal) -> Database:
    """The database role of a caller: a tenant's reads pass row-level security, staff's see every row."""
    return desk.tenants if tenant_of(caller) else desk.staff


@router.post("/conversions", status_code=201, openapi_extra=REPORT_INTERFACE)
async def report_conversions(request: Request, caller: Reporter) -> Response:
    """Report one order, or up to 100. Many as `{"conversions": […]}`, answered 200 with a result for each."""
    if not is_json(request.headers.get("content-type")):
        raise unsupported_media_type()
    desk, raw = desk_of(request), await read_body(request.receive, limit_bytes=BODY_BYTES_MAX)
    if not desk.is_ready:
        raise not_now()
    try:
        body = _read_object(raw)
    except Problem as unreadable:  # the merchant is known by its key, so even this leaves a receipt (I7)
        faults = [FieldFault(error.field, error.code, error.message) for error in unreadable.errors]
        refusal = Refusal(Outcome.MALFORMED, faults)
        return await _answer_one(request, desk, Submission(_arrival(desk, caller, "api"), refusal=refusal))
    if "conversions" in body:
        return await _report_batch(request, desk, caller, body["conversions"])
    return await _answer_one(request, desk, _judge(desk, caller, body, "api"))


def _read_object(raw: bytes) -> dict[str, Any]:
    """The JSON object of a body. Raises Problem 422."""
    body = parse_json(raw)
    if not isinstance(body, dict):
        raise field_invalid("body", "object_expected", "must be one JSON object")
    return body


async def _answer_one(request: Request, desk: Desk, submission: Submission) -> Response:
    limit = await desk.count(submission.arrival.merchant_id)
    answers = await _record(desk, [submission])
    status, headers, encoded = encode_answer(answers[0], request_id_of(request.scope))
    request.scope["state"]["told_by_service"] = _told(submission, answers[0])
    response = Response(encoded, status_code=status)
    response.raw_headers = [*headers, *limit, *trace_header(submission, answers[0])]
    return response


def _told(submission: Submission, answer: Answer) -> Told:
    """For our own observer: this request is the postback's step in its click's trace."""
    if answer.is_taken and not keeps(submission.trace_id):
        return Told()
    return Told(submission.trace_id, submission.span_id, submission.door_span_id)


async def _report_batch(request: Request, desk: Desk, caller: Principal, items: Any) -> Response:
    if not isinstance(items, list) or not 1 <= len(items) <= BATCH_MAX:
        raise field_invalid("conversions", "batch_size", f"is a list of 1 to {BATCH_MAX} objects")
    assert caller.merchant_id is not None
    limit = await desk.count(caller.merchant_id, len(items))
    answers = await _record(desk, [_judge(desk, caller, item, "api_batch") for item in items])
    request_id = request_id_of(request.scope)
    results = [
        {"index": index, "http_status": answer.http_status, **full_document(answer, request_id)}
        for index, answer in enumerate(answers)
    ]
    response = JSONResponse({"results": results})
    response.raw_headers.extend(limit)
    return response


def _judge(desk: Desk, caller: Principal, fields: Any, transport: str) -> Submission:
    arrival = _arrival(desk, caller, transport)
    if not isinstance(fields, dict):
        return refused(arrival, Outcome.MALFORMED, FieldFault("conversions", "object_expected", "must be an object"))
    named = fields.get("merchant_id")
    if named is not None and str(named) != str(caller.merchant_id):
        fault = FieldFault("merchant_id", "merchant_id_mismatch", "is another merchant than the key's")
        return refused(arrival, Outcome.MALFORMED, fault)
    return desk.judge(fields, arrival)


def _arrival(desk: Desk, caller: Principal, transport: str) -> Arrival:
    assert caller.merchant_id is not None
    actor = Actor("merchant", caller.key_id)
    return Arrival(new_id(), caller.merchant_id, desk.clock.now(), transport, actor, caller.request_id)


async def _record(desk: Desk, submissions: list[Submission]) -> Any:
    try:
        return await desk.group.record(submissions)
    except PostbacksUnavailable:
        raise not_now() from None


@router.get("/conversions")
async def get_conversions(
    request: Request,
    caller: Reader,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    status: Status | None = None,
    offer_id: QueryId | None = None,
    merchant_id: QueryId | None = None,
    affiliate_id: QueryId | None = None,
    order_id: Annotated[str | None, PlainText(64)] = None,
    from_at: Annotated[QueryInstant | None, Query(alias="from")] = None,
    to_at: Annotated[QueryInstant | None, Query(alias="to")] = None,
) -> Page[ConversionAnswer]:
    """Conversions, newest first. Affiliates: those of their clicks, and without order_id; rejected ones with why."""
    if caller.role == "affiliate" and order_id is not None:
        raise field_invalid("order_id", "not_yours", "leave it out: order ids are the merchant's")
    wanted = ConversionFilter(
        merchant_id=own_or_asked(caller.merchant_id, merchant_id),
        affiliate_id=own_or_asked(caller.affiliate_id, affiliate_id),
        status=None if status is None else status.value,
        offer_id=offer_id,
        order_ids=desk_of(request).spellings(order_id),
        from_at=from_at,
        to_at=to_at,
        before=read_position(cursor),
    )
    async with database_for(desk_of(request), caller).transaction(tenant=tenant_of(caller)) as session:
        rows = await list_conversions(session, wanted, limit)
    shown, next_cursor = page_of(rows, limit, lambda conversion: {"id": str(conversion.id)})
    return Page(items=[conversion_answer(conversion, caller) for conversion in shown], next_cursor=next_cursor)


@router.get("/conversions/{conversion_id}")
async def get_conversion(request: Request, caller: Reader, conversion_id: str) -> ConversionAnswer:
    """One conversion. 404 for somebody else's."""
    found, _ = await _find(request, caller, conversion_id)
    return conversion_answer(found, caller)


@router.get("/conversions/{conversion_id}/trail")
async def get_trail(request: Request, caller: Reader, conversion_id: str) -> ConversionTrailAnswer:
    """Every version of a conversion. What changed, by whom, why, and how it was attributed."""
    _, versions = await _find(request, caller, conversion_id)
    return ConversionTrailAnswer(items=[version_answer(row, caller) for row in versions])


async def _find(request: Request, caller: Principal, ref: str) -> tuple[Conversion, list[Mapping[str, Any]]]:
    conversion_id = read_id(ref)
    async with database_for(desk_of(request), caller).transaction(tenant=tenant_of(caller)) as session:
        found = None if conversion_id is None else await find_conversion(session, conversion_id)
        if found is None:
            raise not_found("conversion_not_found", "There is no such conversion.")
        return found, [dict(row) for row in await list_versions(session, found.id)]


def read_id(ref: str) -> UUID | None:
    """The UUID in a path, or None for anything else: what is no id names nothing."""
    try:
        return UUID(ref)
    except ValueError:
        return None


def read_position(cursor: str | None) -> UUID | None:
    """Where a page starts. Raises Problem 422 `cursor_invalid`."""
    return None if cursor is None else cursor_parsed(decode_cursor(cursor, keys=("id",)), "id", UUID)
