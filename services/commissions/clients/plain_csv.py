"""CSV for people and programs: RFC 4180, UTF-8, and no text of ours that a spreadsheet would run."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")


def csv_bytes(rows: Iterable[Sequence[str]]) -> bytes:
    """The rows as UTF-8 with CRLF ends; fields are quoted where they must be."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows(rows)
    return written.getvalue().encode("utf-8")


def plain_text(text: str) -> str:
    """`text` behind an apostrophe when a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def without_formula_start(text: str) -> str:
    """`text` without what would make it a formula: for a field in which an apostrophe would be read by the payee."""
    return text.lstrip("".join(FORMULA_STARTS) + " ")
