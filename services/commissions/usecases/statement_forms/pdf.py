"""One statement as a PDF: letterhead, summary, lines by offer with subtotals, closing, and the block of its cut.

Deterministic: rendered twice, anywhere, it is the same file. 100,000 lines are some 1,800 pages; pages that are done
are kept compressed, so that memory grows with the file and not with what it was made from.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from typing import BinaryIO, Final

from services.commissions.domain.statement import StatementLine
from services.commissions.domain.statement_document import StatementDocument
from services.commissions.usecases.statement_forms.pdf_pages import Pages
from shared.kernel.errors import TributaryError

PDF_LINES_MAX: Final = 200_000
"""Some 3,600 pages, and half a minute of work: longer statements are there as XLSX and CSV."""

LINES_AT_ONCE: Final = 500
"""Lines drawn in one go on another thread, between two looks at what else the process has to do."""

PART_BYTES: Final = 64 * 1024


class StatementTooLong(TributaryError):
    """More lines than the form takes; the others hold them."""

    code = "statement_too_long"


async def statement_pdf(document: StatementDocument, lines: AsyncIterator[StatementLine]) -> AsyncIterator[bytes]:
    """The parts of the file. lines: grouped, as `storage.statement_store.stream_lines` gives them.

    Nothing is given before everything is drawn. Raises StatementTooLong.
    """
    with tempfile.TemporaryFile() as file:
        await _draw(file, document, lines)
        file.seek(0)
        while part := file.read(PART_BYTES):
            yield part


async def _draw(file: BinaryIO, document: StatementDocument, lines: AsyncIterator[StatementLine]) -> None:
    pages = await asyncio.to_thread(Pages, file, document)
    waiting: list[StatementLine] = []
    async for line in lines:
        waiting.append(line)
        if len(waiting) == LINES_AT_ONCE:
            await asyncio.to_thread(_draw_lines, pages, waiting)
            waiting = []
    await asyncio.to_thread(_draw_lines, pages, waiting)
    await asyncio.to_thread(pages.finish)


def _draw_lines(pages: Pages, lines: Sequence[StatementLine]) -> None:
    if pages.lines + len(lines) > PDF_LINES_MAX:
        raise StatementTooLong(f"a PDF holds at most {PDF_LINES_MAX} lines: ask for xlsx or csv")
    for line in lines:
        pages.add_line(line)
