"""The European Central Bank's reference rates as it publishes them: CSV, the same zipped, or XML.

`eurofxref.csv`, `eurofxref-hist.csv`, their zips, `eurofxref-daily.xml`, `eurofxref-hist.xml`. Blanks around values, a
trailing comma and `N/A` are the bank's own habits and are taken; anything else that is not as it should be refuses the
whole file, with its place. Sizes are limited before anything is unpacked or parsed.
"""

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from xml.parsers import expat

from services.commissions.domain.exchange_rates import PIVOT, ExchangeRate, exchange_rate
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.money import is_currency

SOURCE: Final = "ecb"
FILE_BYTES_MAX: Final = 8 * 1_024 * 1_024
"""As it comes, and again unpacked from a zip twice as much: the whole history is a few megabytes."""

UNPACKED_BYTES_MAX: Final = 2 * FILE_BYTES_MAX
DAYS_MAX: Final = 20_000
"""Some eighty years of working days."""

COLUMNS_MAX: Final = 200

_CODE: Final = re.compile(r"[A-Z]{3}", re.ASCII)
_ISO_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_WRITTEN_DAY: Final = re.compile(r"([0-9]{1,2}) ([A-Z][a-z]{2,8}) ([0-9]{4})", re.ASCII)
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_MISSING: Final = frozenset({"", "N/A"})
_ENVELOPE: Final = ("Envelope", "subject", "Sender", "name", "Cube")
_CUBE_DEPTH_MAX: Final = 3
"""A cube of days, of a day's rates, of one rate."""


class RateFileInvalid(TributaryError):
    """A file that is none of the bank's, or not whole. The message names the place and echoes nothing of it."""

    code = "rate_file_invalid"


@dataclass(frozen=True, slots=True)
class RateFile:
    """What a file says. rates: oldest day first. unknown: codes of currencies that ISO 4217 no longer has, left out."""

    rates: Sequence[ExchangeRate]
    unknown: frozenset[str]


def read_rate_file(content: bytes, *, today: date) -> RateFile:
    """The rates of one of the bank's files, whatever its form. Raises RateFileInvalid; then nothing of it counts.

    today: no rate may be of a later day.
    """
    if len(content) > FILE_BYTES_MAX:
        raise RateFileInvalid(f"it has more than {FILE_BYTES_MAX} bytes")
    if content[:4] == b"PK\x03\x04":
        content = _unzipped(content)
    quoted = _xml_rates(content) if content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"<" else _csv_rates(content)
    return _judged(quoted, today)


@dataclass(frozen=True, slots=True)
class _Quoted:
    """One rate as it stands in the file. place: a line, for whoever has to look."""

    place: str
    day: date
    code: str
    text: str


def _judged(quoted: Iterator[_Quoted], today: date) -> RateFile:
    rates: dict[tuple[date, str], ExchangeRate] = {}
    unknown: set[str] = set()
    for each in quoted:
        if not _CODE.fullmatch(each.code):
            raise RateFileInvalid(f"{each.place}: a currency is three capital letters")
        if (each.day, each.code) in rates:
            raise RateFileInvalid(f"{each.place}: a day has one rate of a currency")
        if not is_currency(each.code):
            unknown.add(each.code)
            continue
        try:
            rates[each.day, each.code] = exchange_rate(
                base=PIVOT, quote=each.code, rate=each.text, source=SOURCE, as_of=each.day, today=today
            )
        except InvalidValue as fault:
            raise RateFileInvalid(f"{each.place}: {fault.field} {fault.message}") from None
    if not rates:
        raise RateFileInvalid("it holds no rate")
    return RateFile([rates[key] for key in sorted(rates)], frozenset(unknown))


def _unzipped(content: bytes) -> bytes:
    """The one file inside, read no further than its limit, whatever its header says of its size."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if len(members) != 1 or members[0].is_dir() or members[0].flag_bits & 0x1:
                raise RateFileInvalid("a zip holds exactly one file, not encrypted")
            with archive.open(members[0]) as member:
                unpacked = member.read(UNPACKED_BYTES_MAX + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError):
        raise RateFileInvalid("its zip cannot be read") from None
    except Exception as fault:  # zlib, bz2 and lzma each have an error of their own
        raise (fault if isinstance(fault, TributaryError) else RateFileInvalid("its zip cannot be read")) from None
    if len(unpacked) > UNPACKED_BYTES_MAX:
        raise RateFileInvalid(f"unpacked it has more than {UNPACKED_BYTES_MAX} bytes")
    return unpacked


def _csv_rates(content: bytes) -> Iterator[_Quoted]:
    try:
        lines = csv.reader(io.StringIO(content.decode("utf-8-sig"), newline=""), strict=True)
        heads = _cells(next(lines, []))
        heads = heads[:-1] if heads and not heads[-1] else heads
        if len(heads) < 2 or heads[0] != "Date" or len(heads) > COLUMNS_MAX or len(set(heads)) != len(heads):
            raise RateFileInvalid("line 1: `Date` and then the currencies, each once")
        days: set[date] = set()
        for cells in lines:
            yield from _csv_day(f"line {lines.line_num}", heads, _cells(cells), days)
    except UnicodeDecodeError:
        raise RateFileInvalid("it is no text in UTF-8") from None
    except csv.Error:
        raise RateFileInvalid("it is no CSV") from None


def _csv_day(place: str, heads: Sequence[str], cells: Sequence[str], days: set[date]) -> Iterator[_Quoted]:
    if not any(cells):
        return
    cells = cells[:-1] if len(cells) == len(heads) + 1 and not cells[-1] else cells  # the bank's trailing comma
    if len(cells) != len(heads):
        raise RateFileInvalid(f"{place}: as many values as currencies")
    day = _day(place, cells[0])
    if day in days or len(days) == DAYS_MAX:
        raise RateFileInvalid(f"{place}: each day once, and at most {DAYS_MAX}")
    days.add(day)
    for code, text in zip(heads[1:], cells[1:], strict=True):
        if text not in _MISSING:
            yield _Quoted(f"{place}, {code if _CODE.fullmatch(code) else 'a currency'}", day, code, text)


def _cells(cells: Sequence[str]) -> list[str]:
    return [cell.strip(" \t") for cell in cells]


def _day(place: str, text: str) -> date:
    try:
        if _ISO_DAY.fullmatch(text):
            return date.fromisoformat(text)
        written = _WRITTEN_DAY.fullmatch(text)
        if written is not None and written[2] in _MONTHS:
            return date(int(written[3]), _MONTHS.index(written[2]) + 1, int(written[1]))
    except ValueError:
        pass
    raise RateFileInvalid(f"{place}: a day such as 2026-11-24 or 24 November 2026")


class _Reading:
    """What the parser has met so far. No document type, no entity, no instruction, no element that it does not know."""

    def __init__(self) -> None:
        self.found: list[_Quoted] = []
        self._parser = expat.ParserCreate("utf-8")  # whatever it declares: the bank writes no other
        self._parser.StartDoctypeDeclHandler = self._refuse
        self._parser.EntityDeclHandler = self._refuse
        self._parser.ProcessingInstructionHandler = self._refuse
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._open: list[str] = []
        self._day: date | None = None
        self._days: set[date] = set()

    def read(self, content: bytes) -> list[_Quoted]:
        try:
            self._parser.Parse(content, True)
        except expat.ExpatError as fault:
            raise RateFileInvalid(f"line {fault.lineno}: it is no well-formed XML") from None
        return self.found

    def _place(self) -> str:
        return f"line {self._parser.CurrentLineNumber}"

    def _refuse(self, *_: object) -> None:
        raise RateFileInvalid(f"{self._place()}: no document type, entity or instruction belongs here")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        local = name.rpartition(":")[2]
        if local not in _ENVELOPE or (local == "Envelope") != (not self._open):
            raise RateFileInvalid(f"{self._place()}: an element that the bank's files do not have")
        self._open.append(local)
        if local != "Cube":
            return
        if self._open.count("Cube") > _CUBE_DEPTH_MAX:
            raise RateFileInvalid(f"{self._place()}: cubes are three deep")
        self._cube(attributes)

    def _cube(self, attributes: dict[str, str]) -> None:
        place, names = self._place(), frozenset(attributes)
        if names == {"time"}:
            self._day = _day(place, attributes["time"].strip())
            if self._day in self._days or len(self._days) == DAYS_MAX:
                raise RateFileInvalid(f"{place}: each day once, and at most {DAYS_MAX}")
            self._days.add(self._day)
        elif names == {"currency", "rate"} and self._day is not None:
            text = attributes["rate"].strip()
            if text not in _MISSING:
                self.found.append(_Quoted(place, self._day, attributes["currency"].strip(), text))
        elif names:
            raise RateFileInvalid(f"{place}: a cube has a time, or a currency and its rate")

    def _end(self, _: str) -> None:
        closed = self._open.pop()
        if closed == "Cube" and self._open.count("Cube") == 1:
            self._day = None  # the day is over


def _xml_rates(content: bytes) -> Iterator[_Quoted]:
    return iter(_Reading().read(content))
