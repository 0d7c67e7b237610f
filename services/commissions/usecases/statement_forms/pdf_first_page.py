"""The first page of a statement: whose, to whom, for when, and what it comes to."""

from collections.abc import Callable
from typing import Final

from services.commissions.domain.statement_document import Letterhead, StatementDocument, tax_note, title_of
from services.commissions.usecases.statement_forms.figures import amount_text, rate_text, second_text, span_text
from services.commissions.usecases.statement_forms.pdf_columns import SIZE, Columns, draw_amounts, draw_heads
from services.commissions.usecases.statement_forms.pdf_paper import (
    ACCENT,
    BOLD,
    BOTTOM,
    HAIR,
    INK,
    LEFT,
    PLAIN,
    QUIET,
    RIGHT,
    TOP,
    Paper,
    fitted,
    printable,
    text_width,
    wrapped,
)

ADDRESS_LINES_MAX: Final = 6
NAME_SIZE: Final = 11.0
NAME_LINES_MAX: Final = 6
"""The longest name that the catalogue takes (200 characters) is shown whole."""

_MIDDLE: Final = 326.0
_LEFT_WIDTH: Final = _MIDDLE - LEFT - 24
_ROW: Final = 14.0
_TAX_HEIGHT: Final = 110.0


def draw_first_page(paper: Paper, document: StatementDocument, columns: Columns, *, turn: Callable[[], float]) -> float:
    """Draw everything above the lines; gives where they may begin. turn: goes on with a page, gives its upper edge."""
    y = _head(paper, document)
    y = min(_party(paper, document, y), _facts(paper, document, y))
    y = _key_figures(paper, document, y - 14)
    y = _summary(paper, document, columns, y - 26, turn=turn)
    if y - _TAX_HEIGHT < BOTTOM:
        y = turn()
    return _tax(paper, document, columns, y - 6)


def _head(paper: Paper, document: StatementDocument) -> float:
    issuer, y = document.particulars.issuer, TOP - 4
    name = wrapped(issuer.name, _LEFT_WIDTH - 30, NAME_SIZE, lines_max=NAME_LINES_MAX, font=BOLD)
    bottom = _block(paper, y, name, issuer)
    paper.right(RIGHT, y - 3, document.title, 18, font=BOLD, colour=ACCENT)
    number = document.particulars.number
    paper.right(RIGHT, y - 20, "Draft, without a number" if number is None else f"No. {number}", 10, font=BOLD)
    if document.particulars.replaces is not None:
        paper.right(RIGHT, y - 33, f"replaces No. {document.particulars.replaces}, which is void", 8, colour=QUIET)
    line = min(bottom, y - 38) - 4
    paper.rule(line, colour=ACCENT, width=1.4)
    return line - 24


def _block(paper: Paper, y: float, name: list[str], party: Letterhead) -> float:
    for line in name:
        paper.text(LEFT, y, line, NAME_SIZE, font=BOLD)
        y -= NAME_SIZE * 1.3
    for line in party.address[:ADDRESS_LINES_MAX]:
        paper.text(LEFT, y, fitted(line, _LEFT_WIDTH, 8), 8, colour=QUIET)
        y -= 11
    if party.tax_id is not None:
        paper.text(LEFT, y, fitted(f"VAT id {party.tax_id}", _LEFT_WIDTH, 8), 8, colour=QUIET)
        y -= 11
    return y


def _party(paper: Paper, document: StatementDocument, y: float) -> float:
    paper.label(LEFT, y, "For")
    name = wrapped(document.particulars.party.name, _LEFT_WIDTH, NAME_SIZE, lines_max=NAME_LINES_MAX, font=BOLD)
    y = _block(paper, y - 16, name, document.particulars.party)
    paper.text(LEFT, y, document.party_label, 8, colour=QUIET)
    return y - 6


def _facts(paper: Paper, document: StatementDocument, y: float) -> float:
    statement = document.statement
    facts = (
        ("Period", span_text(statement.period)),
        ("Currency", statement.currency),
        ("Cut at block", str(statement.cut.number)),
        ("Block booked", second_text(statement.cut.booked_at)),
    )
    for label, value in facts:
        paper.text(_MIDDLE, y, label, 8, colour=QUIET)
        paper.right(RIGHT, y, value, 8, font=BOLD if label == "Period" else PLAIN)
        paper.rule(y - 5, left=_MIDDLE)
        y -= _ROW + 1
    return y


def _key_figures(paper: Paper, document: StatementDocument, y: float) -> float:
    statement = document.statement
    moved = statement.closing_minor - statement.opening_minor
    figures = (
        ("Opening balance", statement.opening_minor),
        ("Movement in the period", moved),
        ("Closing balance", statement.closing_minor),
    )
    height, third = 50.0, (RIGHT - LEFT) / 3
    paper.wash(y - height, height)
    paper.wash(y - height, height, right=LEFT + 2.4, colour=ACCENT)
    for n, (label, minor) in enumerate(figures):
        x = LEFT + 14 + n * third
        paper.label(x, y - 17, f"{label}, {statement.currency}")
        text, size = amount_text(statement, minor), 15.0
        size = min(size, size * (third - 20) / text_width(text, size, font=BOLD))
        paper.text(x, y - 38, text, size, font=BOLD, colour=ACCENT if n == 2 else INK)
    return y - height


def _summary(
    paper: Paper, document: StatementDocument, columns: Columns, y: float, *, turn: Callable[[], float]
) -> float:
    sections = document.statement.sections
    paper.text(LEFT, y, "Summary", 11, font=BOLD)
    y -= 18
    draw_heads(paper, columns, y, ((LEFT, "Kind of entry"),))
    y -= 18
    _row(paper, document, columns, y, "Opening balance", [each.opening_minor for each in sections], font=BOLD)
    for kind in document.kinds:
        y -= _ROW
        if y - 2 * _ROW < BOTTOM:
            y = turn()
        amounts = [each.totals_minor.get(kind, 0) for each in sections]
        _row(paper, document, columns, y, title_of(kind, document.statement.party), amounts)
    y -= _ROW
    paper.rule(y + 9.5, colour=INK, width=0.7)
    _row(paper, document, columns, y, "Closing balance", [each.closing_minor for each in sections], font=BOLD)
    paper.rule(y - 5, colour=INK, width=0.7)
    return y - 22


def _tax(paper: Paper, document: StatementDocument, columns: Columns, y: float) -> float:
    """Net, VAT and gross of what was supplied, under the last column; what the law wants said, below."""
    lines, statement = document.tax_lines, document.statement
    paper.text(LEFT, y, "VAT", 11, font=BOLD)
    y -= 16
    if lines is not None:
        rows = (
            ("Net of what was supplied in the period", lines.net_minor, PLAIN),
            (f"VAT at {rate_text(lines.rate_percent)} %", lines.vat_minor, PLAIN),
            ("Gross", lines.gross_minor, BOLD),
        )
        paper.rule(y + 9.5, colour=INK, width=0.7)
        for title, minor, font in rows:
            paper.text(LEFT, y, title, SIZE, font=font)
            paper.right(columns.edges[-1], y, amount_text(statement, minor), SIZE, font=font)
            paper.rule(y - 4.4, width=0.25 if font == PLAIN else 0.7, colour=HAIR if font == PLAIN else INK)
            y -= _ROW
        y -= 1
    for text in wrapped(tax_note(document), RIGHT - LEFT, 7.5, lines_max=3):
        paper.text(LEFT, y, text, 7.5, colour=QUIET)
        y -= 10
    return y - 4


def _row(
    paper: Paper,
    document: StatementDocument,
    columns: Columns,
    y: float,
    title: str,
    amounts_minor: list[int],
    *,
    font: str = PLAIN,
) -> None:
    paper.text(LEFT, y, printable(title), SIZE, font=font)
    draw_amounts(paper, columns, y, document.statement, amounts_minor, font=font)
    if font == PLAIN:
        paper.rule(y - 4.4, width=0.25)
