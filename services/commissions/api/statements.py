"""`GET /v1/statements`: the list, and, with a period, one statement as JSON, CSV, XLSX or PDF."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BeforeValidator

from services.commissions.api.desk import Desk, Reader, desk_of, party_asked_for, party_needed
from services.commissions.api.ledger_answers import ListedStatementAnswer, StatementAnswer
from services.commissions.api.statement_files import FORM_ANSWERS, form_asked_for, statement_answer
from services.commissions.domain.statement import Party
from services.commissions.storage.statement_store import ListedStatement, StatementPosition
from services.commissions.usecases.read_particulars import read_document
from services.commissions.usecases.read_statement import (
    BlockNotFound,
    StatementRequest,
    list_statements,
    read_statement,
)
from services.commissions.usecases.statement_forms.forms import FormName
from services.commissions.usecases.statement_forms.plain import party_document
from shared.kernel.money import Money
from shared.kernel.period import parse_period
from shared.runtime.http_app import QueryId, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    CursorValue,
    Page,
    PageCursor,
    PageLimit,
    cursor_id,
    cursor_text,
    decode_cursor,
    page_document,
    page_of,
)
from shared.runtime.principal import Principal
from shared.runtime.problem import field_invalid, not_found
from shared.runtime.wire_model import plain_number

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["statements"])
BlockNumber = Annotated[int, Query(ge=1, le=2**53), BeforeValidator(plain_number)]
Currency = Annotated[str, Query(pattern="^[A-Z]{3}$")]


@router.get(
    "/statements",
    response_model=None,
    responses={200: {"model": StatementAnswer | Page[ListedStatementAnswer], "content": FORM_ANSWERS}},
)
async def get_statements(
    request: Request,
    caller: Reader,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    affiliate_id: QueryId | None = None,
    merchant_id: QueryId | None = None,
    period: Annotated[str | None, Query(max_length=7)] = None,
    currency: Currency | None = None,
    format: FormName | None = None,
    block: BlockNumber | None = None,
) -> Response:
    """One statement, or which there are. With `period` that month's; without it the list, newest first.

    period: a UTC month. currency: needed where the party has several. block: the cut, for an older state of an open
    period; left out, the newest. format: json, csv, xlsx or pdf; left out, `Accept` decides.
    """
    desk = desk_of(request)
    party = party_asked_for(caller, affiliate_id=affiliate_id, merchant_id=merchant_id)
    if period is None:
        if format not in (None, "json") or block is not None:
            raise field_invalid("period", "period_needed", "name the month, such as 2026-11")
        return await _list(desk, caller, party, currency, cursor=cursor, limit=limit)
    if party is None:
        raise party_needed()
    asked = StatementRequest(party, parse_period(period), currency, block)
    async with desk.reading(caller) as session:
        try:
            statement = await read_statement(session, asked)
        except BlockNotFound:
            raise not_found("block_not_found", "There is no such block yet.") from None
        document = await read_document(session, statement, issuer=desk.issuer)
    return await statement_answer(desk, caller, document, form_asked_for(request, format))


async def _list(
    desk: Desk, caller: Principal, party: Party | None, currency: str | None, *, cursor: str | None, limit: int
) -> Response:
    before = _read_position(cursor)
    async with desk.reading(caller) as session:
        rows = await list_statements(session, party, currency=currency, before=before, limit=limit)
    shown, next_cursor = page_of(rows, limit, _position)
    return JSONResponse(page_document([_listed(row) for row in shown], next_cursor))


def _listed(row: ListedStatement) -> dict[str, Any]:
    return {
        "party": party_document(row.party),
        "period": str(row.period),
        "currency": row.currency,
        "status": "final" if row.is_final else "open",
        "number": row.number,
        "replaces": row.replaces,
        "block_number": row.block_number,
        "opening": Money(row.opening_minor, row.currency).decimal_text(),
        "closing": Money(row.closing_minor, row.currency).decimal_text(),
    }


def _position(row: ListedStatement) -> dict[str, CursorValue]:
    party = party_document(row.party)
    return {"period": str(row.period), "party": party["kind"], "id": party["id"], "currency": row.currency}


def _read_position(cursor: str | None) -> StatementPosition | None:
    if cursor is None:
        return None
    position = decode_cursor(cursor, keys=("period", "party", "id", "currency"))
    return StatementPosition(
        cursor_text(position, "period"),
        cursor_text(position, "party"),
        cursor_id(position, "id"),
        cursor_text(position, "currency"),
    )
