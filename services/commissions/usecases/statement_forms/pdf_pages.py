"""The pages of a statement: the first with everything at a glance, then its lines, group by group."""

from collections.abc import Callable
from typing import BinaryIO, Final

from services.commissions.domain.statement import StatementLine
from services.commissions.domain.statement_document import (
    LineGroup,
    StatementDocument,
    group_of,
    group_title,
    line_title,
)
from services.commissions.usecases.statement_forms.figures import minute_text, month_text
from services.commissions.usecases.statement_forms.pdf_columns import (
    SIZE,
    amount_texts,
    columns_of,
    draw_amounts,
    draw_heads,
)
from services.commissions.usecases.statement_forms.pdf_first_page import draw_first_page
from services.commissions.usecases.statement_forms.pdf_paper import (
    BOLD,
    BOTTOM,
    HAIR,
    INK,
    LEFT,
    QUIET,
    RIGHT,
    TOP,
    Paper,
    fitted,
    printable,
    text_width,
    wrapped,
)

ROW: Final = 12.5
_BOOKED: Final = LEFT
_ENTRY: Final = LEFT + 66.0
_REFERENCE_SIZE: Final = 5.8
_REFERENCE_WIDTH: Final = 36 * _REFERENCE_SIZE * 0.58
_SECOND_LINE: Final = 9.0
_NOTE_AFFILIATE: Final = (
    "Amounts are in the currency of this statement; a positive amount is owed to the affiliate. An approval moves an"
    " amount from pending to payable and adds nothing."
)
_NOTE_MERCHANT: Final = "Amounts are in the currency of this statement; a positive amount is owed by the merchant."
_NOTE_CUT: Final = (
    "Times are UTC. This statement is cut at the block named below; the ledger up to a block never changes, so the same"
    " statement, asked for again, is the same file, byte for byte."
)


class Pages:
    """Draws a statement while its lines come. lines: how many were drawn. `finish` writes the file."""

    def __init__(self, file: BinaryIO, document: StatementDocument) -> None:
        self.lines = 0
        self._document = document
        self._statement = document.statement
        self._columns = columns_of(document.statement)
        number = document.particulars.number or "draft"
        self._paper = Paper(
            file,
            title=printable(f"{document.title} {number}, {document.party_label}, {self._statement.period}"),
            author=printable(document.particulars.issuer.name),
            dated_at=self._statement.cut.booked_at or self._statement.period.start,
            subject=f"Block {self._statement.cut.number} {self._statement.cut.hash.hex()}",
        )
        self._group: LineGroup | None = None
        self._group_lines = 0
        self._sections = [section.name for section in self._statement.sections]
        self._subtotal = [0] * len(self._sections)
        self._footer()
        self._y = draw_first_page(self._paper, document, self._columns, turn=self._turn)
        self._reference = self._columns.text_right - _REFERENCE_WIDTH
        self._entry_width = self._reference - _ENTRY - 6
        self._titles: dict[tuple[str, str | None], list[str]] = {}

    def add_line(self, line: StatementLine) -> None:
        """Draw one line; lines of one group come together."""
        group = group_of(line)
        if group != self._group:
            self._end_group()
            self._begin_group(group)
        titles = self._titles_of(line)
        height = ROW + _SECOND_LINE * (len(titles) - 1)
        self._make_room(height, self._continued)
        amounts = [line.amounts_minor[name] for name in self._sections]
        self._draw_line(line, titles, amounts)
        self._y -= height
        self._subtotal = [sum(pair) for pair in zip(self._subtotal, amounts, strict=True)]
        self._group_lines += 1
        self.lines += 1

    def finish(self) -> None:
        """The last subtotal, the closing, and the notes."""
        self._end_group()
        self._make_room(4 * ROW + 44, self._heads if self.lines else None)
        self._closing()
        self._notes()
        self._paper.finish()

    def _begin_group(self, group: LineGroup) -> None:
        if self._group is None:
            self._y -= 14
            self._make_room(5 * ROW, None)
            self._heads()
        self._group, self._group_lines, self._subtotal = group, 0, [0] * len(self._sections)
        self._make_room(3.5 * ROW, self._heads)
        self._group_head("")

    def _group_head(self, suffix: str) -> None:
        assert self._group is not None
        self._y -= 5
        title = group_title(self._group, self._statement.party, self._document.particulars.offer_names)
        room = RIGHT - LEFT - text_width(suffix, 8.5) - 4
        title = fitted(title, room, 8.5, font=BOLD)
        self._paper.text(LEFT, self._y, title, 8.5, font=BOLD)
        if suffix:
            self._paper.text(LEFT + text_width(title, 8.5, font=BOLD) + 4, self._y, suffix, 8.5, colour=QUIET)
        self._y -= ROW + 0.5

    def _continued(self) -> None:
        self._heads()
        self._group_head("continued")

    def _titles_of(self, line: StatementLine) -> list[str]:
        """What the line is, in one text line, or in two where the reason is long."""
        key = (line.kind, line.reason_code)
        titles = self._titles.get(key)
        if titles is None:
            title = line_title(line, self._statement.party)
            titles = self._titles[key] = wrapped(title, self._entry_width, SIZE, lines_max=2)
        return titles

    def _draw_line(self, line: StatementLine, titles: list[str], amounts_minor: list[int]) -> None:
        paper, y = self._paper, self._y
        amounts = amount_texts(self._columns, self._statement, amounts_minor, is_bold=False)
        usual = [(x, text) for x, text, size in amounts if size == SIZE]
        paper.texts(y, [(_BOOKED, minute_text(line.booked_at)), (_ENTRY, titles[0]), *usual], SIZE)
        for x, text, size in amounts:
            if size != SIZE:
                paper.text(x, y, text, size)
        for n, title in enumerate(titles[1:], start=1):
            paper.text(_ENTRY, y - n * _SECOND_LINE, title, SIZE)
        paper.text(self._reference, y, str(line.conversion_id or line.transaction_id), _REFERENCE_SIZE, colour=QUIET)
        paper.rule(y - 3.7 - _SECOND_LINE * (len(titles) - 1), width=0.25)

    def _end_group(self) -> None:
        if self._group is None:
            return
        count = f"{self._group_lines:,} line{'' if self._group_lines == 1 else 's'}"
        self._make_room(ROW, self._continued)
        self._paper.text(_ENTRY, self._y, f"Subtotal, {count}", SIZE, font=BOLD)
        draw_amounts(self._paper, self._columns, self._y, self._statement, self._subtotal, font=BOLD)
        self._y -= ROW + 3

    def _closing(self) -> None:
        paper, statement = self._paper, self._statement
        self._y -= 6
        paper.rule(self._y + 10, colour=INK, width=0.7)
        sections = statement.sections
        rows = (
            ("Opening balance", [each.opening_minor for each in sections]),
            ("All lines", [sum(each.totals_minor.values()) for each in sections]),
            ("Closing balance", [each.closing_minor for each in sections]),
        )
        for title, amounts in rows:
            paper.text(LEFT, self._y - 2, title, SIZE, font=BOLD)
            draw_amounts(paper, self._columns, self._y - 2, statement, amounts, font=BOLD)
            self._y -= ROW
        paper.rule(self._y + 6, colour=INK, width=0.7)
        paper.rule(self._y + 4.4, colour=INK, width=0.7)

    def _notes(self) -> None:
        about = _NOTE_MERCHANT if self._statement.party.affiliate_id is None else _NOTE_AFFILIATE
        self._y -= 10
        for note in (about, _NOTE_CUT):
            for text in wrapped(note, RIGHT - LEFT, 6.5, lines_max=3):
                self._paper.text(LEFT, self._y, text, 6.5, colour=QUIET)
                self._y -= 9.5

    def _make_room(self, height: float, again: Callable[[], None] | None) -> None:
        if self._y - height >= BOTTOM:
            return
        self._turn()
        if again is not None:
            again()

    def _turn(self) -> float:
        self._paper.turn()
        self._y = TOP
        self._running_head()
        self._footer()
        return self._y

    def _running_head(self) -> None:
        document = self._document
        left = fitted(document.particulars.issuer.name, 200, 7.5, font=BOLD)
        self._paper.text(LEFT, self._y, left, 7.5, font=BOLD)
        number = document.particulars.number or "draft"
        right = f"{document.title} {number} · {document.party_label} · {month_text(self._statement.period)} · "
        self._paper.right(RIGHT, self._y, right + self._statement.currency, 7.5, colour=QUIET)
        self._y -= 24

    def _heads(self) -> None:
        reference = (self._columns.text_right - _REFERENCE_WIDTH, "Conversion or transaction")
        draw_heads(self._paper, self._columns, self._y, ((_BOOKED, "Booked"), (_ENTRY, "Entry"), reference))
        self._y -= 16

    def _footer(self) -> None:
        cut, paper = self._statement.cut, self._paper
        paper.rule(46, colour=HAIR)
        paper.text(LEFT, 35, f"Block {cut.number}", 7, font=BOLD, colour=QUIET)
        paper.text(LEFT, 26, cut.hash.hex(), 6, colour=QUIET)
        paper.page_number(35)
