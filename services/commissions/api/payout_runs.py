"""`/v1/payout-runs`: drafted, approved by a second person, exported, answered by the bank. For finance and admin."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import date
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field

from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.payout_run_answers import (
    PayoutLineAnswer,
    PayoutRunAnswer,
    SettlementAnswer,
    line_document,
    run_document,
)
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.domain.payout_run import LineState, PayoutRun, RunTerms, RunTransitionRefused, SelfApproval
from services.commissions.domain.payout_settings import Method
from services.commissions.storage.payout_store import find_lines, find_run, list_runs, sum_lines
from services.commissions.usecases.advance_payout_run import (
    RunEmpty,
    RunNotFound,
    approve_payout_run,
    cancel_payout_run,
    export_payout_run,
)
from services.commissions.usecases.audited import payout_run_act
from services.commissions.usecases.draft_payout_run import PayerMissing, draft_payout_run
from services.commissions.usecases.read_statement import BlockNotFound
from services.commissions.usecases.settle_payout_run import SettlementRefused, settle_payout_run
from services.commissions.usecases.statement_forms.plain import instant_text
from services.commissions.usecases.write_payout_file import (
    FileChanged,
    FormatOfAnotherMethod,
    NotExported,
    read_payout_file,
)
from shared.runtime.database import Session
from shared.runtime.http_app import StrictModel, StrictRoute
from shared.runtime.logging import get_logger
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_id,
    cursor_instant,
    cursor_parsed,
    decode_cursor,
    page_document,
    page_of,
)
from shared.runtime.problem import FieldError, Problem, conflict, field_invalid, forbidden, not_found, safe_field

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["payouts"])
Moved = tuple[PayoutRun, PayoutRun]
_log = get_logger(__name__)

SETTLEMENT_PATH: Final = "/v1/payout-runs/{payout_run_id}/settlements"
SETTLEMENT_BODY_BYTES_MAX: Final = 8 * 1024 * 1024
"""A day's statement with some ten thousand bookings, in base64."""


class _SettlementRoute(StrictRoute):
    """Takes a bank's file."""

    body_bytes_max = SETTLEMENT_BODY_BYTES_MAX


settlement_router = APIRouter(prefix="/v1", route_class=_SettlementRoute, tags=["payouts"])


class PayoutRunBody(StrictModel):
    """up_to: what is due by the end of this day (UTC) is paid. block: the cut of balances; the newest without it."""

    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")]
    method: Method
    up_to: date
    block: Annotated[int, Field(ge=0, le=2**53)] | None = None


class SettlementBody(StrictModel):
    """The bank's file as it is. format: camt (camt.053, camt.054), csv (our own table), paypal (PayPal's reports)."""

    format: Literal["camt", "csv", "paypal"]
    file_base64: Annotated[str, Field(max_length=SETTLEMENT_BODY_BYTES_MAX)]


@router.post("/payout-runs", status_code=201, response_model=PayoutRunAnswer)
async def create_payout_run(request: Request, caller: Staff, body: PayoutRunBody) -> Response:
    """Draft a run: who would be paid what, and who is left out and why. Nothing is posted."""
    desk = desk_of(request)
    terms = RunTerms(body.currency, body.method, body.up_to)

    async def draft(session: Session) -> Done:
        with _refusals():
            drafted = await draft_payout_run(
                session, terms, desk.payout_policy, block_number=body.block, by=caller.key_id, now=desk.clock.now()
            )
        return await _done(session, None, drafted.run)

    return await perform_once(request, caller, draft, asked=body.model_dump(mode="json"), status=201)


@router.get("/payout-runs", response_model=Page[PayoutRunAnswer])
async def get_payout_runs(
    request: Request, caller: Staff, limit: PageLimit = LIMIT_DEFAULT, cursor: PageCursor = None
) -> dict[str, Any]:
    """Payout runs, newest first."""
    position = None if cursor is None else decode_cursor(cursor, keys=("at", "id"))
    before = None if position is None else (cursor_instant(position, "at"), cursor_parsed(position, "id", UUID))
    async with desk_of(request).reading(caller) as session:
        runs = await list_runs(session, before=before, limit=limit + 1)
        sums = await sum_lines(session, [run.run_id for run in runs])
    shown, next_cursor = page_of(runs, limit, lambda run: {"at": instant_text(run.drafted_at), "id": str(run.run_id)})
    return page_document([run_document(run, sums[run.run_id]) for run in shown], next_cursor)


@router.get("/payout-runs/{payout_run_id}", response_model=PayoutRunAnswer)
async def get_payout_run(request: Request, caller: Staff, payout_run_id: str) -> dict[str, Any]:
    """One run, with its lines summed by state and reason."""
    async with desk_of(request).reading(caller) as session:
        run = await _found(session, payout_run_id)
        return run_document(run, (await sum_lines(session, [run.run_id]))[run.run_id])


@router.get("/payout-runs/{payout_run_id}/lines", response_model=Page[PayoutLineAnswer])
async def get_payout_lines(
    request: Request,
    caller: Staff,
    payout_run_id: str,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    state: Annotated[LineState | None, Query()] = None,
) -> dict[str, Any]:
    """A run's lines by affiliate, those left out with their reason. state: only those in it."""
    after = 0 if cursor is None else cursor_id(decode_cursor(cursor, keys=("id",)), "id")
    states = list(LineState) if state is None else [state]
    async with desk_of(request).reading(caller) as session:
        run = await _found(session, payout_run_id)
        rows = await find_lines(session, run.run_id, states=states, after_id=after, limit=limit + 1)
    shown, next_cursor = page_of(rows, limit, lambda line: {"id": line.affiliate_id})
    return page_document([line_document(line, run.terms.currency) for line in shown], next_cursor)


@router.post("/payout-runs/{payout_run_id}/approve", response_model=PayoutRunAnswer)
async def approve_run(request: Request, caller: Staff, payout_run_id: str) -> Response:
    """Approve a draft, with another key than the one that drafted it. Lines shrink or drop to what is there now."""
    desk = desk_of(request)

    async def approve(session: Session, run_id: UUID) -> Moved:
        keyring, policy = desk.sealing_keyring, desk.payout_policy
        return await approve_payout_run(session, keyring, policy, run_id, by=caller.key_id, now=desk.clock.now())

    return await _move(request, caller, payout_run_id, approve)


@router.post("/payout-runs/{payout_run_id}/export", response_model=PayoutRunAnswer)
async def export_run(request: Request, caller: Staff, payout_run_id: str) -> Response:
    """Export an approved run: its posting, and its file from now on. Never again for the same run."""
    desk = desk_of(request)

    async def export(session: Session, run_id: UUID) -> Moved:
        keyring, policy = desk.sealing_keyring, desk.payout_policy
        return await export_payout_run(session, keyring, policy, run_id, by=caller.key_id, now=desk.clock.now())

    return await _move(request, caller, payout_run_id, export)


@router.post("/payout-runs/{payout_run_id}/cancel", response_model=PayoutRunAnswer)
async def cancel_run(request: Request, caller: Staff, payout_run_id: str) -> Response:
    """Cancel a run that is not exported yet: its payees are free for the next one."""
    return await _move(request, caller, payout_run_id, cancel_payout_run)


@router.get(
    "/payout-runs/{payout_run_id}/file",
    response_model=None,
    responses={200: {"content": {"application/xml": {}, "text/csv": {}}}},
)
async def get_payout_file(
    request: Request, caller: Staff, payout_run_id: str, format: Literal["pain.001", "paypal", "csv"]
) -> Response:
    """The file of an exported run, the same bytes every time. format: of the run's own method."""
    desk = desk_of(request)
    async with desk.reading(caller) as session:
        run = await _found(session, payout_run_id)
        with _refusals():
            file = await read_payout_file(session, desk.sealing_keyring, run, format=format, now=desk.clock.now())
    headers = {
        "Content-Disposition": f'attachment; filename="{file.name}"',
        "Tributary-File-Sha256": file.sha256.hex(),
        "Cache-Control": "no-store",
    }
    return Response(file.content, media_type=file.media_type, headers=headers)


@settlement_router.post("/payout-runs/{payout_run_id}/settlements", response_model=SettlementAnswer)
async def settle_run(request: Request, caller: Staff, payout_run_id: str, body: SettlementBody) -> Response:
    """Take the bank's answer: lines are settled, or come back and are owed again. All of the file or nothing of it."""
    desk, run_id = desk_of(request), _run_id(payout_run_id)
    content = _decoded(body.file_base64)

    async def settle(session: Session) -> Done:
        with _refusals():
            settled = await settle_payout_run(
                session, run_id, content, format=body.format, by=caller.key_id, now=desk.clock.now()
            )
        sums = (await sum_lines(session, [run_id]))[run_id]
        answer = {"run": run_document(settled.after, sums), "is_repeated": not settled.is_new, **settled.counts}
        return Done(answer, payout_run_act(settled.before, settled.after))

    return await perform_once(request, caller, settle, asked=body.model_dump(mode="json"))


async def _move(
    request: Request, caller: Staff, payout_run_id: str, step: Callable[[Session, UUID], Awaitable[Moved]]
) -> Response:
    run_id = _run_id(payout_run_id)

    async def move(session: Session) -> Done:
        with _refusals():
            before, after = await step(session, run_id)
        return await _done(session, before, after)

    return await perform_once(request, caller, move, asked=None)


async def _done(session: Session, before: PayoutRun | None, after: PayoutRun) -> Done:
    sums = (await sum_lines(session, [after.run_id]))[after.run_id]
    return Done(run_document(after, sums), payout_run_act(before, after))


async def _found(session: Session, payout_run_id: str) -> PayoutRun:
    run = await find_run(session, _run_id(payout_run_id))
    if run is None:
        raise _unknown()
    return run


def _run_id(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise _unknown() from None


def _unknown() -> Problem:
    return not_found("payout_run_not_found", "There is no such payout run.")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise field_invalid("file_base64", "base64_malformed", "must be base64") from None


@contextmanager
def _refusals() -> Iterator[None]:
    """The use cases' refusals as problems."""
    try:
        yield
    except RunNotFound:
        raise _unknown() from None
    except BlockNotFound:
        raise not_found("block_not_found", "There is no such block yet.") from None
    except SelfApproval as fault:
        raise forbidden(fault.code, "The key that drafted a run may not approve it.") from None
    except RunTransitionRefused as fault:
        raise conflict(fault.code, f"{fault}.") from None
    except RunEmpty as fault:
        raise conflict(fault.code, "Nobody is left to be paid by this run; cancel it.") from None
    except PayerMissing as fault:
        raise conflict(fault.code, f"{fault}.") from None
    except NotExported as fault:
        raise conflict(fault.code, "The run is not exported yet.") from None
    except FormatOfAnotherMethod as fault:
        raise conflict(fault.code, f"{fault}.") from None
    except FileChanged as fault:
        _log.error("payout_file_changed")
        raise conflict(fault.code, "The file is not the one that was exported; it is not handed out.") from None
    except SettlementRefused as fault:
        raise _settlement_refused(fault) from None


def _settlement_refused(fault: SettlementRefused) -> Problem:
    errors = [
        FieldError(f"file.{safe_field(each.reference)}", each.code, "is not what was paid out") for each in fault.faults
    ]
    detail = "The file tells of other sums than were paid out; nothing of it was taken."
    return Problem(422, "settlement_refused", detail, errors=errors)
