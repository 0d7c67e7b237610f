"""A statement as an answer: which form is asked for, and the file in it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from services.commissions.api.desk import Desk
from services.commissions.domain.statement import StatementLine
from services.commissions.domain.statement_document import StatementDocument
from services.commissions.storage.statement_store import stream_lines
from services.commissions.usecases.statement_forms.pdf import StatementTooLong, statement_pdf
from services.commissions.usecases.statement_forms.plain import (
    CSV_CONTENT_TYPE,
    file_name,
    statement_csv,
    statement_json,
)
from services.commissions.usecases.statement_forms.xlsx import statement_xlsx
from shared.runtime.principal import Principal
from shared.runtime.problem import Problem

FormName = Literal["json", "csv", "xlsx", "pdf"]
Lines = AsyncGenerator[StatementLine]

FILES_AT_ONCE: Final = 2
"""XLSX and PDF that one process makes at a time: each keeps a thread busy. The others wait their turn."""


@dataclass(frozen=True, slots=True)
class Form:
    """content_type: of the answer. render: the parts of the file. is_grouped: its lines come group by group.

    is_drawn: nothing of it is there before all of it is; the first part is waited for, so that a refusal is a refusal.
    """

    content_type: str
    render: Callable[[StatementDocument, Lines], AsyncIterator[bytes]]
    is_grouped: bool = False
    is_drawn: bool = False


_XLSX_CONTENT_TYPE: Final = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FORMS: Final[dict[FormName, Form]] = {
    "json": Form("application/json", lambda document, lines: statement_json(document.statement, lines)),
    "csv": Form(CSV_CONTENT_TYPE, lambda document, lines: statement_csv(document.statement, lines)),
    "xlsx": Form(_XLSX_CONTENT_TYPE, statement_xlsx, is_drawn=True),
    "pdf": Form("application/pdf", statement_pdf, is_grouped=True, is_drawn=True),
}
FORM_ANSWERS: Final[dict[str, Any]] = {
    "text/csv": {"schema": {"type": "string"}},
    _XLSX_CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}},
    "application/pdf": {"schema": {"type": "string", "format": "binary"}},
}
_turns = asyncio.Semaphore(FILES_AT_ONCE)


def form_asked_for(request: Request, named: FormName | None) -> FormName:
    """The form that the query names, else the first that `Accept` names, else json."""
    if named is not None:
        return named
    accepted = request.headers.get("accept", "")
    found = [(accepted.find(kind), name) for name, kind in _ACCEPTED.items() if kind in accepted]
    return min(found)[1] if found else "json"


_ACCEPTED: Final[dict[FormName, str]] = {"csv": "text/csv", "xlsx": _XLSX_CONTENT_TYPE, "pdf": "application/pdf"}


async def statement_answer(desk: Desk, caller: Principal, document: StatementDocument, name: FormName) -> Response:
    """The statement in one form, with its block and status beside it. Raises Problem 422 `statement_too_long`."""
    form, cut = FORMS[name], document.statement.cut
    headers = {
        "Tributary-Block": str(cut.number),
        "Tributary-Block-Hash": cut.hash.hex(),
        "Tributary-Statement-Status": "final" if cut.is_final else "open",
        "Cache-Control": "no-store",
    }
    if name != "json":
        headers["Content-Disposition"] = f'attachment; filename="{file_name(document.statement, name)}"'
    lines = _lines(desk, caller, document, is_grouped=form.is_grouped)
    parts = form.render(document, lines)
    if form.is_drawn:
        parts = await _drawn(parts, lines)
    return StreamingResponse(parts, media_type=form.content_type, headers=headers)


async def _drawn(parts: AsyncIterator[bytes], lines: Lines) -> AsyncIterator[bytes]:
    async with _turns:
        try:
            first = await anext(parts)
        except StatementTooLong as long:
            await lines.aclose()
            raise Problem(422, long.code, str(long)) from None
    return _continued(first, parts)


async def _continued(first: bytes, parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for part in parts:
        yield part


async def _lines(desk: Desk, caller: Principal, document: StatementDocument, *, is_grouped: bool) -> Lines:
    """Read in a transaction of their own: behind the cut the ledger never changes."""
    statement = document.statement
    async with desk.reading(caller) as session:
        lines = stream_lines(
            session, statement.party, currency=statement.currency, cut=statement.cut, is_grouped=is_grouped
        )
        async for line in lines:
            yield line
