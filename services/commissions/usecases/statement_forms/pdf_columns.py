"""The columns of a PDF's tables: amounts end on one edge, so that their decimal points stand below one another."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.commissions.domain.statement import Statement
from services.commissions.domain.statement_document import section_title
from services.commissions.usecases.statement_forms.figures import amount_text
from services.commissions.usecases.statement_forms.pdf_paper import (
    BOLD,
    INK,
    PLAIN,
    QUIET,
    RIGHT,
    Paper,
    text_width,
)

SIZE: Final = 7.5
"""Of a line's text, in points."""

SIZE_MIN: Final = 4.5
"""An amount that is too wide for its column is set smaller, down to this."""

AMOUNT_WIDTH_MIN: Final = 60.0
AMOUNT_WIDTH_MAX: Final = 92.0
_GAP: Final = 8.0


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the amounts stand. names: over them; edges: the right edge of each. Left of text_right is for text."""

    names: tuple[str, ...]
    edges: tuple[float, ...]
    width: float

    @property
    def text_right(self) -> float:
        """Where text ends."""
        return self.edges[0] - self.width - _GAP


def columns_of(statement: Statement) -> Columns:
    """A column for each section, and, where there are several, one for their sum; wide enough for every total."""
    names = [section_title(section.name) for section in statement.sections]
    if len(names) > 1:
        names.append("Total")
    known = [minor for each in statement.sections for minor in (each.opening_minor, each.closing_minor)]
    known += [minor for each in statement.sections for minor in each.totals_minor.values()]
    known += [statement.opening_minor, statement.closing_minor]
    widest = max(text_width(amount_text(statement, minor), SIZE, font=BOLD) for minor in known)
    width = min(max(AMOUNT_WIDTH_MIN, widest + _GAP), AMOUNT_WIDTH_MAX)
    count = len(names)
    return Columns(tuple(names), tuple(RIGHT - width * (count - 1 - n) for n in range(count)), width)


def draw_heads(paper: Paper, columns: Columns, y: float, texts: Sequence[tuple[float, str]]) -> None:
    """The head of a table: `texts` at their places, and the columns' names; ruled below."""
    for x, text in texts:
        paper.text(x, y, text, 7, font=BOLD, colour=QUIET)
    for name, edge in zip(columns.names, columns.edges, strict=True):
        paper.right(edge, y, name, 7, font=BOLD, colour=QUIET)
    paper.rule(y - 4.5, colour=INK, width=0.7)


def draw_amounts(
    paper: Paper, columns: Columns, y: float, statement: Statement, amounts_minor: Sequence[int], *, font: str = PLAIN
) -> None:
    """One amount a section, and their sum where it has a column. Nothing moved in a section: left empty."""
    texts = amount_texts(columns, statement, amounts_minor, is_bold=font == BOLD)
    paper.texts(y, [(x, text) for x, text, size in texts if size == SIZE], SIZE, font=font)
    for x, text, size in texts:
        if size != SIZE:
            paper.text(x, y, text, size, font=font)


def amount_texts(
    columns: Columns, statement: Statement, amounts_minor: Sequence[int], *, is_bold: bool
) -> list[tuple[float, str, float]]:
    """Place, text and size of each amount of a row."""
    shown = [*amounts_minor, sum(amounts_minor)] if len(columns.names) > 1 else list(amounts_minor)
    font, room, placed = BOLD if is_bold else PLAIN, columns.width - 4, []
    for n, (minor, edge) in enumerate(zip(shown, columns.edges, strict=True)):
        if not (minor or is_bold or n == len(shown) - 1):
            continue
        text = amount_text(statement, minor)
        size, wide = SIZE, text_width(text, SIZE, font=font)
        if wide > room:
            size = max(SIZE * room / wide, SIZE_MIN)
        placed.append((edge - wide * size / SIZE, text, size))
    return placed
