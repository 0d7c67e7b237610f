"""`POST /v1/conversions/bulk` and `/v1/bulk-jobs`: many conversions at once, and what became of each row."""

import asyncio
import csv
import hashlib
import io
from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from services.conversions.api.bulk_interface import BULK_INTERFACE
from services.conversions.api.bulk_rows import read_csv_rows, read_json_rows
from services.conversions.api.conversions import database_for, read_id
from services.conversions.api.desk import Desk, desk_of
from services.conversions.api.perform_once import Done, perform_once
from services.conversions.domain.bulk import BulkRow, RowOutcome
from services.conversions.domain.conversion import Actor
from services.conversions.storage.bulk_store import BulkJob, find_job, list_results
from services.conversions.usecases.request_bulk_job import TooManyBulkJobs, bulk_job_act, request_bulk_job
from shared.runtime.database import Session
from shared.runtime.http_app import QueryId, StrictRoute, read_body
from shared.runtime.idempotency_key import idempotency_key
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_integer,
    decode_cursor,
    page_of,
)
from shared.runtime.principal import Principal, own_or_asked, require_role, tenant_of
from shared.runtime.problem import conflict, not_found, unsupported_media_type
from shared.runtime.strict_route import is_json

BULK_PATH: Final = "/v1/conversions/bulk"
BULK_BODY_BYTES_MAX: Final = 8_388_608
"""40,000 rows of about 200 bytes; the gateway's route table says the same."""

_CSV_ROWS_AT_ONCE: Final = 1_000
_CSV_COLUMNS: Final = ("row", "ref", "action", "outcome", "code", "field", "conversion_id", "status")
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["conversions"])
Changer = Annotated[Principal, Depends(require_role("merchant", "admin"))]
Key = Annotated[str | None, Depends(idempotency_key)]


class BulkJobAnswer(BaseModel):
    """How far a job is. rows: in all; done, already and refused: so far. merchant_id: null for all merchants'."""

    id: str
    merchant_id: int | None
    status: Literal["waiting", "working", "finished"]
    rows: int
    done: int
    already: int
    refused: int
    requested_at: datetime
    finished_at: datetime | None


class BulkResultAnswer(BaseModel):
    """What became of one row, numbered from 1 in the order sent. already: it stood so before.

    code, field: why a row was refused. conversion_id, status: of the conversion meant, afterwards.
    """

    row: int
    ref: str
    action: str | None
    outcome: RowOutcome
    code: str | None
    field: str | None
    conversion_id: str | None
    status: str | None


@router.post("/conversions/bulk", status_code=202, response_model=BulkJobAnswer, openapi_extra=BULK_INTERFACE)
async def create_bulk_job(
    request: Request, caller: Changer, merchant_id: QueryId | None = None, key: Key = None
) -> Response:
    """Approve, reject, reverse or adjust up to 40,000 conversions. JSON or CSV; answered at once with a job.

    merchant_id: whose conversions; an admin may leave it out, and then names conversions by id only.
    """
    desk = desk_of(request)
    owner = own_or_asked(caller.merchant_id, merchant_id)
    content_type = request.headers.get("content-type")
    body = await read_body(request.receive, limit_bytes=BULK_BODY_BYTES_MAX)
    rows = await asyncio.to_thread(_read_rows, desk, content_type, body)  # a large body must not hold up postbacks
    content_hash = hashlib.sha256(body).digest()

    async def effect(session: Session) -> Done:
        job = await request_bulk_job(
            session,
            rows,
            merchant_id=owner,
            actor=Actor(caller.role, caller.key_id),
            content_hash=content_hash,
            now=desk.clock.now(),
        )
        return Done(_answer(job).model_dump_json().encode("utf-8"), bulk_job_act(job))

    asked_hash = hashlib.sha256(b"bulk %d " % (owner or 0) + content_hash).digest()
    try:
        return await perform_once(request, caller, key, effect, asked_hash=asked_hash, status=202)
    except TooManyBulkJobs:
        raise conflict("bulk_jobs_open", "Too many jobs are not finished yet: wait for one of them.") from None


@router.get("/bulk-jobs/{job_id}")
async def get_bulk_job(request: Request, caller: Changer, job_id: str) -> BulkJobAnswer:
    """How far a job is. 404 for somebody else's."""
    return _answer(await _find(request, caller, job_id))


@router.get(
    "/bulk-jobs/{job_id}/results",
    response_model=None,
    responses={200: {"model": Page[BulkResultAnswer], "content": {"text/csv": {"schema": {"type": "string"}}}}},
)
async def get_bulk_results(
    request: Request,
    caller: Changer,
    job_id: str,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    outcome: RowOutcome | None = None,
    format: Literal["json", "csv"] | None = None,
) -> Response:
    """What became of each row, in their order. Rows not worked on yet are left out.

    format: json, or csv (also by `Accept: text/csv`), which is all rows so far and takes no cursor.
    """
    job = await _find(request, caller, job_id)
    desk, wanted = desk_of(request), None if outcome is None else outcome.value
    if format == "csv" or (format is None and "text/csv" in request.headers.get("accept", "")):
        headers = {
            "Content-Disposition": f'attachment; filename="bulk-job-{job.id}.csv"',
            "Cache-Control": "no-store",
        }
        lines = _csv_lines(desk, caller, job, wanted)
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)
    after = 0 if cursor is None else cursor_integer(decode_cursor(cursor, keys=("row",)), "row")
    rows = await _results(desk, caller, job, outcome=wanted, after=after, limit=limit + 1)
    shown, next_cursor = page_of(rows, limit, lambda row: {"row": row["number"]})
    page = Page(items=[_result(row) for row in shown], next_cursor=next_cursor)
    return Response(page.model_dump_json(), media_type="application/json")


def _read_rows(desk: Desk, content_type: str | None, body: bytes) -> list[BulkRow]:
    if is_json(content_type):
        return read_json_rows(body, desk.screen)
    if (content_type or "").partition(";")[0].strip().lower() == "text/csv":
        return read_csv_rows(body, desk.screen)
    raise unsupported_media_type()


async def _find(request: Request, caller: Principal, job_id: str) -> BulkJob:
    wanted = read_id(job_id)
    async with database_for(desk_of(request), caller).transaction(tenant=tenant_of(caller)) as session:
        job = None if wanted is None else await find_job(session, wanted)
    if job is None:
        raise not_found("bulk_job_not_found", "There is no such job.")
    return job


async def _results(
    desk: Desk, caller: Principal, job: BulkJob, *, outcome: str | None, after: int, limit: int
) -> list[Mapping[str, Any]]:
    async with database_for(desk, caller).transaction(tenant=tenant_of(caller)) as session:
        return list(await list_results(session, job.id, outcome=outcome, after=after, limit=limit))


async def _csv_lines(desk: Desk, caller: Principal, job: BulkJob, outcome: str | None) -> AsyncIterator[bytes]:
    """Read page by page: a row that has its outcome never changes."""
    yield _csv([_CSV_COLUMNS])
    after = 0
    while rows := await _results(desk, caller, job, outcome=outcome, after=after, limit=_CSV_ROWS_AT_ONCE):
        shown = (_result(row).model_dump(mode="json") for row in rows)
        yield _csv([tuple(_cell(row[name]) for name in _CSV_COLUMNS) for row in shown])
        after = rows[-1]["number"]


def _csv(rows: list[tuple[str, ...]]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode("utf-8")


def _cell(value: object) -> str:
    """A spreadsheet runs what begins like a formula; an apostrophe makes it text."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _answer(job: BulkJob) -> BulkJobAnswer:
    is_begun = job.next_row > 1
    return BulkJobAnswer(
        id=str(job.id),
        merchant_id=job.merchant_id,
        status="finished" if job.finished_at is not None else "working" if is_begun else "waiting",
        rows=job.row_count,
        done=job.done,
        already=job.already,
        refused=job.refused,
        requested_at=job.requested_at,
        finished_at=job.finished_at,
    )


def _result(row: Mapping[str, Any]) -> BulkResultAnswer:
    return BulkResultAnswer(
        row=row["number"],
        ref=row["ref"],
        action=row["action"],
        outcome=RowOutcome(row["outcome"]),
        code=row["code"],
        field=row["field"],
        conversion_id=None if row["conversion_id"] is None else str(row["conversion_id"]),
        status=row["status"],
    )
