"""One statement as a workbook: a sheet with the summary, and one with a row a line, in booked order.

Amounts are numbers with the currency's decimals, instants are dates; what people wrote is text, also where it begins
like a formula. Rows go straight to disk, so that memory does not grow with them. The same statement is the same file
for ever.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, BinaryIO, Final

import xlsxwriter
from xlsxwriter.utility import xl_rowcol_to_cell

from services.commissions.domain.statement import Statement, StatementLine
from services.commissions.domain.statement_document import (
    StatementDocument,
    line_title,
    section_title,
    tax_note,
    title_of,
)
from services.commissions.usecases.statement_forms.figures import rate_text, second_text, span_text
from services.commissions.usecases.statement_forms.pdf import LINES_AT_ONCE, PART_BYTES, StatementTooLong
from shared.kernel.money import Money

XLSX_LINES_MAX: Final = 1_000_000
"""A sheet has 1,048,576 rows."""

DIGITS_MAX: Final = 15
"""What a spreadsheet's number holds: an amount with more digits is text, rather than another amount."""

_COLUMNS: Final = (
    ("Block", 10), ("Booked (UTC)", 19), ("Occurred (UTC)", 19), ("Entry", 30), ("Kind", 14), ("Reason", 20),
    ("Offer", 9), ("Offer name", 28), ("Conversion", 37), ("Commission", 37), ("Transaction", 37),
)  # fmt: skip


async def statement_xlsx(document: StatementDocument, lines: AsyncIterator[StatementLine]) -> AsyncIterator[bytes]:
    """The parts of the file. lines: in booked order. Nothing is given before everything is written.

    Raises StatementTooLong.
    """
    with tempfile.TemporaryFile() as file:
        await _write(file, document, lines)
        file.seek(0)
        while part := file.read(PART_BYTES):
            yield part


async def _write(file: BinaryIO, document: StatementDocument, lines: AsyncIterator[StatementLine]) -> None:
    book = await asyncio.to_thread(_Book, file, document)
    waiting: list[StatementLine] = []
    async for line in lines:
        waiting.append(line)
        if len(waiting) == LINES_AT_ONCE:
            await asyncio.to_thread(book.add_lines, waiting)
            waiting = []
    await asyncio.to_thread(book.add_lines, waiting)
    await asyncio.to_thread(book.finish)


class _Book:
    """The workbook while its lines come."""

    def __init__(self, file: BinaryIO, document: StatementDocument) -> None:
        self._document = document
        self._statement = document.statement
        self._sections = [section.name for section in document.statement.sections]
        self._offer_names = document.particulars.offer_names
        self._book = xlsxwriter.Workbook(
            file, {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
        )
        booked_at = document.statement.cut.booked_at
        self._book.set_properties(
            {
                "title": f"{document.title} {document.particulars.number or 'draft'}",
                "author": document.particulars.issuer.name,
                "created": _plain(booked_at or document.statement.period.start),
            }
        )
        number = _number_format(document.statement.currency)
        add = self._book.add_format
        self._plain = add({"font_name": "Arial", "font_size": 10})
        self._bold = add({"font_name": "Arial", "font_size": 10, "bold": True})
        self._title = add({"font_name": "Arial", "font_size": 16, "bold": True, "font_color": "#14506B"})
        self._quiet = add({"font_name": "Arial", "font_size": 10, "font_color": "#5E6B7A"})
        head = {"font_name": "Arial", "font_size": 10, "bold": True, "bottom": 1, "bg_color": "#F3F6F9"}
        self._head = add(head)
        self._amount_head = add({**head, "align": "right"})
        self._amount = add({"font_name": "Arial", "font_size": 10, "num_format": number})
        self._total = add({"font_name": "Arial", "font_size": 10, "num_format": number, "bold": True, "top": 1})
        self._total_text = add({"font_name": "Arial", "font_size": 10, "bold": True, "top": 1})
        self._instant = add({"font_name": "Arial", "font_size": 10, "num_format": "yyyy-mm-dd hh:mm:ss"})
        self._write_summary()
        self._row = 0
        self._sheet = self._begin_lines()

    def add_lines(self, lines: Sequence[StatementLine]) -> None:
        """A row each. Raises StatementTooLong."""
        if self._row + len(lines) > XLSX_LINES_MAX:
            raise StatementTooLong(f"a sheet holds at most {XLSX_LINES_MAX} lines: ask for csv")
        for line in lines:
            self._row += 1
            self._write_line(line)

    def finish(self) -> None:
        """The row of totals, and the file."""
        row = self._row + 1
        for n in range(len(_COLUMNS)):
            self._sheet.write_string(row, n, "Total" if n == 0 else "", self._total_text)
        totals = [sum(section.totals_minor.values()) for section in self._statement.sections]
        for n, minor in enumerate([*totals, sum(totals)]):
            column = len(_COLUMNS) + n
            if self._row and _fits(minor):
                span = f"{xl_rowcol_to_cell(1, column)}:{xl_rowcol_to_cell(self._row, column)}"
                value = _decimal(minor, self._statement)
                self._sheet.write_formula(row, column, f"=SUM({span})", self._total, value)
            else:
                _write_amount(self._sheet, row, column, minor, self._statement, self._total)
        self._sheet.autofilter(0, 0, max(self._row, 1), len(_COLUMNS) + len(self._sections))
        self._book.close()

    def _begin_lines(self) -> Any:
        sheet = self._book.add_worksheet("Lines")
        heads = [*_COLUMNS, *((section_title(name), 15) for name in self._sections), ("Amount", 15)]
        for n, (_, width) in enumerate(heads):
            sheet.set_column(n, n, width, self._plain)
        for n, (name, _) in enumerate(heads):
            sheet.write_string(0, n, name, self._head if n < len(_COLUMNS) else self._amount_head)
        sheet.freeze_panes(1, 0)
        sheet.set_landscape()
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        sheet.repeat_rows(0)
        return sheet

    def _write_line(self, line: StatementLine) -> None:
        sheet, row = self._sheet, self._row
        name = "" if line.offer_id is None else self._offer_names.get(line.offer_id, "")
        sheet.write_number(row, 0, line.block_number, self._plain)
        sheet.write_datetime(row, 1, _plain(line.booked_at), self._instant)
        sheet.write_datetime(row, 2, _plain(line.occurred_at), self._instant)
        texts = (line_title(line, self._statement.party), line.kind, line.reason_code or "")
        for n, text in enumerate(texts, start=3):
            sheet.write_string(row, n, text, self._plain)
        if line.offer_id is not None:
            sheet.write_number(row, 6, line.offer_id, self._plain)
        ids = (line.conversion_id, line.commission_id, line.transaction_id)
        for n, text in enumerate((name, *("" if each is None else str(each) for each in ids)), start=7):
            sheet.write_string(row, n, text, self._plain)
        amounts = [line.amounts_minor[section] for section in self._sections]
        for n, minor in enumerate([*amounts, sum(amounts)], start=len(_COLUMNS)):
            _write_amount(sheet, row, n, minor, self._statement, self._amount)

    def _write_summary(self) -> None:
        sheet = self._book.add_worksheet("Statement")
        sheet.set_column(0, 0, 30, self._plain)
        sheet.set_column(1, 4, 18, self._plain)
        sheet.hide_gridlines(2)
        sheet.set_paper(9)
        sheet.fit_to_pages(1, 0)
        row = _write_facts(sheet, self._facts(), self._title, self._quiet, self._plain) + 1
        names = [section_title(name) for name in self._sections]
        sheet.write_string(row, 0, "Summary", self._head)
        for n, name in enumerate([*names, "Total"], start=1):
            sheet.write_string(row, n, name, self._amount_head)
        sections = self._statement.sections
        rows = [("Opening balance", [each.opening_minor for each in sections], True)]
        for kind in self._document.kinds:
            amounts = [each.totals_minor.get(kind, 0) for each in sections]
            rows.append((title_of(kind, self._statement.party), amounts, False))
        rows.append(("Closing balance", [each.closing_minor for each in sections], True))
        for title, amounts, is_total in rows:
            row += 1
            sheet.write_string(row, 0, title, self._total_text if is_total else self._plain)
            for n, minor in enumerate([*amounts, sum(amounts)], start=1):
                _write_amount(sheet, row, n, minor, self._statement, self._total if is_total else self._amount)
        self._write_tax(sheet, row + 2)

    def _write_tax(self, sheet: Any, row: int) -> None:
        lines, note = self._document.tax_lines, tax_note(self._document)
        sheet.write_string(row, 0, "VAT", self._head)
        sheet.write_string(row, 1, self._statement.currency, self._amount_head)
        if lines is not None:
            rows = [("Net", lines.net_minor), (f"VAT at {rate_text(lines.rate_percent)} %", lines.vat_minor)]
            for title, minor in [*rows, ("Gross", lines.gross_minor)]:
                row += 1
                sheet.write_string(row, 0, title, self._plain)
                _write_amount(sheet, row, 1, minor, self._statement, self._amount)
        sheet.write_string(row + 1, 0, note, self._quiet)

    def _facts(self) -> list[tuple[str, str]]:
        document, statement, cut = self._document, self._statement, self._statement.cut
        particulars = document.particulars
        facts = [("", document.title), ("From", particulars.issuer.name)]
        facts += [("", line) for line in particulars.issuer.address]
        facts += [("VAT id", particulars.issuer.tax_id)] if particulars.issuer.tax_id else []
        facts += [("For", particulars.party.name), ("", document.party_label)]
        facts += [("", line) for line in particulars.party.address]
        facts += [("VAT id", particulars.party.tax_id)] if particulars.party.tax_id else []
        facts += [("Number", particulars.number or "draft")]
        facts += [("Replaces", particulars.replaces)] if particulars.replaces else []
        return [
            *facts,
            ("Period", span_text(statement.period)),
            ("Currency", statement.currency),
            ("Block", str(cut.number)),
            ("Block hash", cut.hash.hex()),
            ("Block booked", second_text(cut.booked_at)),
        ]


def _write_facts(sheet: Any, facts: Sequence[tuple[str, str]], title: Any, quiet: Any, plain: Any) -> int:
    for row, (label, value) in enumerate(facts):
        if row == 0:
            sheet.write_string(row, 0, value, title)
            continue
        sheet.write_string(row, 0, label, quiet)
        sheet.write_string(row, 1, value, plain)
    return len(facts)


def _write_amount(sheet: Any, row: int, column: int, minor: int, statement: Statement, style: Any) -> None:
    value = _decimal(minor, statement)
    if _fits(minor):
        sheet.write_number(row, column, value, style)
    else:
        sheet.write_string(row, column, str(value), style)


def _fits(minor: int) -> bool:
    return abs(minor) < 10**DIGITS_MAX


def _decimal(minor: int, statement: Statement) -> Decimal:
    return Decimal(Money(minor, statement.currency).decimal_text())


def _number_format(currency: str) -> str:
    _, point, decimals = Money(0, currency).decimal_text().partition(".")
    return f"#,##0{point}{'0' * len(decimals)}"


def _plain(instant: datetime) -> datetime:
    return instant.astimezone(UTC).replace(tzinfo=None)
