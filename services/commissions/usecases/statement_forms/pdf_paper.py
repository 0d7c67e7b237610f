"""The paper of a PDF: A4, one open font in two weights, five colours, and what is drawn on it.

Everything that reportlab would take from the machine (its settings file, the environment, the clock) is set here.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from datetime import UTC, datetime
from importlib.resources import files
from io import BytesIO
from typing import BinaryIO, Final

from reportlab import rl_config
from reportlab.lib.colors import Color, HexColor
from reportlab.lib.pagesizes import A4
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

WIDTH: Final = float(A4[0])
HEIGHT: Final = float(A4[1])
LEFT: Final = 48.0
RIGHT: Final = WIDTH - 48.0
TOP: Final = HEIGHT - 48.0
BOTTOM: Final = 66.0
"""Lines end here; the footer stands below."""

PLAIN: Final = "NotoSans"
BOLD: Final = "NotoSans-SemiBold"

INK: Final = HexColor(0x1B2430)
QUIET: Final = HexColor(0x5E6B7A)
HAIR: Final = HexColor(0xD5DBE2)
WASH: Final = HexColor(0xF3F6F9)
ACCENT: Final = HexColor(0x14506B)

TEXT_MAX: Final = 400
"""Characters of one text that are looked at: more than any line holds."""

_PAGES: Final = "pages"
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"

rl_config.useA85 = 0
rl_config.invariant = 1
rl_config.pdfComments = 0


def _load_fonts() -> frozenset[int]:
    """Register both weights once, for the whole process; gives the characters that both can show."""
    fonts = files(__package__).joinpath("fonts")
    known: list[set[int]] = []
    for name, file in ((PLAIN, "NotoSans-Regular.ttf"), (BOLD, "NotoSans-SemiBold.ttf")):
        font = TTFont(name, BytesIO(fonts.joinpath(file).read_bytes()))
        pdfmetrics.registerFont(font)
        known.append(set(font.face.charToGlyph))
    return frozenset(known[0] & known[1])


_KNOWN: Final = _load_fonts()


def printable(text: str) -> str:
    """`text` as the font can show it: one line, composed; where it has no glyph, the replacement character."""
    plain = unicodedata.normalize("NFC", _CONTROL.sub(" ", text[:TEXT_MAX])).strip()
    return plain if plain.isascii() else "".join(each if ord(each) in _KNOWN else _UNKNOWN for each in plain)


def text_width(text: str, size: float, *, font: str = PLAIN) -> float:
    """In points, of a text that is printable."""
    return float(pdfmetrics.stringWidth(text, font, size))


def fitted(text: str, width: float, size: float, *, font: str = PLAIN) -> str:
    """`text`, printable and, where it is wider than `width` points, cut with an ellipsis."""
    shown = printable(text)
    if text_width(shown, size, font=font) <= width:
        return shown
    low, high = 0, len(shown)
    while low < high:
        middle = (low + high + 1) // 2
        if text_width(shown[:middle].rstrip() + "…", size, font=font) <= width:
            low = middle
        else:
            high = middle - 1
    return shown[:low].rstrip() + "…"


def wrapped(text: str, width: float, size: float, *, lines_max: int, font: str = PLAIN) -> list[str]:
    """`text` in at most `lines_max` lines of `width` points; the last one is cut where there is more."""
    lines: list[str] = []
    rest = printable(text)
    while rest and len(lines) < lines_max - 1:
        if text_width(rest, size, font=font) <= width:
            break
        cut = len(fitted(rest, width, size, font=font)) - 1
        space = rest.rfind(" ", 0, cut + 1)
        cut = space if space > 0 else max(cut, 1)
        lines.append(rest[:cut].rstrip())
        rest = rest[cut:].lstrip()
    return [*lines, fitted(rest, width, size, font=font)] if rest else lines


class Paper:
    """A canvas with a pen. Positions are in points from the lower left corner; texts must be printable."""

    def __init__(self, file: BinaryIO, *, title: str, author: str, subject: str, dated_at: datetime) -> None:
        """dated_at: the instant that the file names as its own, whenever it is made."""
        self.page = 1
        self._canvas = Canvas(file, pagesize=A4, pageCompression=1, invariant=1, initialFontName=PLAIN, lang="en")
        self._canvas.setTitle(title)
        self._canvas.setAuthor(author)
        self._canvas.setSubject(subject)
        self._canvas.setCreator("Tributary")
        written = dated_at.astimezone(UTC).strftime("D:%Y%m%d%H%M%S+00'00'")
        self._canvas.setDateFormatter(lambda *_: written)
        self._canvas._doc.signature = hashlib.sha256(f"{title}\n{subject}".encode())  # else it holds the environment's

    def text(self, x: float, y: float, text: str, size: float, *, font: str = PLAIN, colour: Color = INK) -> None:
        """From `x` on."""
        self._pen(font, size, colour)
        self._canvas.drawString(x, y, text)

    def right(self, x: float, y: float, text: str, size: float, *, font: str = PLAIN, colour: Color = INK) -> None:
        """Up to `x`."""
        self._pen(font, size, colour)
        self._canvas.drawRightString(x, y, text)

    def label(self, x: float, y: float, text: str) -> None:
        """A small heading above a value."""
        self.text(x, y, text, 7, colour=QUIET)

    def texts(self, y: float, texts: Iterable[tuple[float, str]], size: float, *, font: str = PLAIN) -> None:
        """Several on one line, each from its place on."""
        drawn = self._canvas.beginText()
        drawn.setFont(font, size)
        drawn.setFillColor(INK)
        for x, text in texts:
            drawn.setTextOrigin(x, y)
            drawn.textOut(text)
        self._canvas.drawText(drawn)

    def rule(self, y: float, *, left: float = LEFT, colour: Color = HAIR, width: float = 0.5) -> None:
        """A horizontal line up to the right margin."""
        self._canvas.setStrokeColor(colour)
        self._canvas.setLineWidth(width)
        self._canvas.line(left, y, RIGHT, y)

    def wash(self, y: float, height: float, *, left: float = LEFT, right: float = RIGHT, colour: Color = WASH) -> None:
        """A filled band."""
        self._canvas.setFillColor(colour)
        self._canvas.rect(left, y, right - left, height, stroke=0, fill=1)

    def page_number(self, y: float) -> None:
        """`Page x of y` at the right edge. The number of pages is a form that is drawn last: no page waits for it."""
        room = 12.0
        self.right(RIGHT - room, y, f"Page {self.page} of ", 7, colour=QUIET)
        self._canvas.saveState()
        self._canvas.translate(RIGHT - room, y)
        self._canvas.doForm(_PAGES)
        self._canvas.restoreState()

    def turn(self) -> None:
        """Go on with the next page."""
        self._canvas.showPage()
        self.page += 1

    def finish(self) -> None:
        """Draw the number of pages and write the file."""
        self._canvas.showPage()
        self._canvas.beginForm(_PAGES)
        self._pen(PLAIN, 7, QUIET)
        self._canvas.drawString(0, 0, str(self.page))
        self._canvas.endForm()
        self._canvas.save()

    def _pen(self, font: str, size: float, colour: Color) -> None:
        self._canvas.setFont(font, size)
        self._canvas.setFillColor(colour)
