"""A statement as an answer: which form is asked for, and the file in it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from services.commissions.api.desk import Desk
from services.commissions.domain.statement_document import StatementDocument
from services.commissions.storage.statement_store import stream_lines
from services.commissions.usecases.statement_forms.forms import FORMS, XLSX_CONTENT_TYPE, FormName, Lines
from services.commissions.usecases.statement_forms.pdf import StatementTooLong
from services.commissions.usecases.statement_forms.plain import file_name
from shared.runtime.principal import Principal
from shared.runtime.problem import Problem

FILES_AT_ONCE: Final = 2
"""XLSX and PDF that one process makes at a time: each keeps a thread busy. The others wait their turn."""


FORM_ANSWERS: Final[dict[str, Any]] = {
    "text/csv": {"schema": {"type": "string"}},
    XLSX_CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}},
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


_ACCEPTED: Final[dict[FormName, str]] = {"csv": "text/csv", "xlsx": XLSX_CONTENT_TYPE, "pdf": "application/pdf"}


async def statement_answer(
    desk: Desk, caller: Principal, document: StatementDocument, name: FormName, more: Mapping[str, str] | None = None
) -> Response:
    """The statement in one form, with its block and status beside it. more: headers of a numbered one.

    Raises Problem 422 `statement_too_long`.
    """
    form, cut = FORMS[name], document.statement.cut
    headers = {
        "Tributary-Block": str(cut.number),
        "Tributary-Block-Hash": cut.hash.hex(),
        "Tributary-Statement-Status": "final" if cut.is_final else "open",
        "Cache-Control": "no-store",
        **(more or {}),
    }
    if name != "json":
        headers["Content-Disposition"] = f'attachment; filename="{file_name(document, name)}"'
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
