"""A statement's files: the same bytes wherever they are made, numbers that are numbers, paper that holds its text."""

import asyncio
import hashlib
import io
import json
import os
import re
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from uuid import UUID
from xml.etree import ElementTree

import pypdfium2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.commissions.domain.statement import Party, StatementLine
from services.commissions.domain.statement_document import KIND_ORDER, title_of
from services.commissions.usecases.statement_forms import pdf
from services.commissions.usecases.statement_forms.pdf import StatementTooLong, statement_pdf
from services.commissions.usecases.statement_forms.pdf_paper import LEFT, RIGHT
from services.commissions.usecases.statement_forms.xlsx import statement_xlsx
from tests.factories.statement_papers import (
    AFFILIATE,
    MERCHANT,
    document_of,
    joined,
    lines_of,
    sha256_of_all,
    statement_of,
    streamed,
)

FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1")
"""Debian's, where it is installed: another machine time."""

ROOT = Path(__file__).resolve().parents[3]
SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)

INSIDE = {
    "pdf": "93059477f0e9257f4538522c4093d08abb02b80bf70f7af7ddda3501693d81c1",
    "xlsx": "1f746dc1e8fe9bb1b4e0373b493732f0bba69d3a30e8b525c632e815e12179a3",
}
"""SHA-256 of what is inside the files of one statement, uncompressed. It changes only on purpose, with the form:
a library that draws differently would change statements that are out already."""


def pdf_of(party: Party, lines: list[StatementLine], *, name: str = "Café Łódź", issuer: str = "A network") -> bytes:
    document = document_of(statement_of(party, lines), name=name, issuer=issuer)
    return asyncio.run(joined(statement_pdf(document, streamed(lines))))


def xlsx_of(party: Party, lines: list[StatementLine], currency: str = "EUR") -> bytes:
    document = document_of(statement_of(party, lines, currency=currency))
    return asyncio.run(joined(statement_xlsx(document, streamed(lines))))


def pages_of(file: bytes) -> Iterator[pypdfium2.PdfPage]:
    document = pypdfium2.PdfDocument(file)
    try:
        yield from document
    finally:
        document.close()


def texts_of(file: bytes) -> list[str]:
    return [page.get_textpage().get_text_range() for page in pages_of(file)]


def cells_of(file: bytes, sheet: int) -> list[list[tuple[str, str]]]:
    """Rows of (type, text): type `n` for a number, `inlineStr` for text."""
    root = ElementTree.fromstring(zipfile.ZipFile(io.BytesIO(file)).read(f"xl/worksheets/sheet{sheet}.xml"))
    return [
        [(cell.get("t", "n"), "".join(cell.itertext())) for cell in row.iter(f"{SHEET}c")]
        for row in root.iter(f"{SHEET}row")
    ]


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"PYTHONHASHSEED": "1", "TZ": "Asia/Kathmandu", "LC_ALL": "C"},
        {"PYTHONHASHSEED": "77", "TZ": "America/St_Johns", "LC_ALL": "de_DE.UTF-8", "LANG": "tr_TR.UTF-8"},
        {"RL_pageCompression": "0", "RL_invariant": "0", "RL_useA85": "1", "RL_pdfComments": "1"},
        {"SOURCE_DATE_EPOCH": "1"},
        *([{"LD_PRELOAD": str(FAKETIME), "FAKETIME": "+3y"}] if FAKETIME.exists() else []),
    ],
)
def test_every_form_is_the_same_file_in_another_process(elsewhere: dict[str, str]) -> None:
    """Another hash seed, time zone and locale, another second, and settings that the PDF library would read."""
    command = [sys.executable, "-m", "tests.factories.statement_papers"]
    here = asyncio.run(sha256_of_all())

    found = subprocess.run(command, cwd=ROOT, env=os.environ | elsewhere, capture_output=True, text=True, check=True)

    assert json.loads(found.stdout) == here
    assert len(set(here.values())) == 8


def test_what_is_drawn_changes_only_on_purpose() -> None:
    lines = lines_of(AFFILIATE, 150)
    drawn, workbook = pdf_of(AFFILIATE, lines), xlsx_of(AFFILIATE, lines)
    digest = hashlib.sha256()
    for packed in re.findall(rb"\nstream\r?\n(.*?)endstream", drawn, re.DOTALL):
        digest.update(zlib.decompressobj().decompress(packed))
    members = zipfile.ZipFile(io.BytesIO(workbook))
    inside = hashlib.sha256(b"".join(members.read(name) for name in sorted(members.namelist()))).hexdigest()

    assert {"pdf": digest.hexdigest(), "xlsx": inside} == INSIDE


def test_a_workbook_has_numbers_as_numbers_and_what_people_wrote_as_text() -> None:
    lines = lines_of(AFFILIATE, 30)
    heads, *rows, total = cells_of(xlsx_of(AFFILIATE, lines), 2)
    names = [text for _, text in heads]

    assert names[-3:] == ["Pending", "Payable", "Amount"]
    for line, row in zip(lines, rows, strict=True):
        cells = dict(zip(names, row, strict=False)) if line.offer_id is not None else {}
        if cells:
            assert cells["Offer name"][0] == "inlineStr"
        assert [kind for kind, _ in row[-3:]] == ["n"] * 3
        expected = [*line.amounts_minor.values(), line.amount_minor]
        assert [Decimal(text) * 100 for _, text in row[-3:]] == expected
    formulas = [text for _, text in row_texts(rows) if text.startswith("=")]
    assert formulas == ["=HYPERLINK(1)"] * 10
    assert [Decimal(re.sub(r"^SUM\([A-Z0-9:]+\)", "", text)) * 100 for _, text in total[-3:]] == [
        sum(line.amounts_minor["pending"] for line in lines),
        sum(line.amounts_minor["payable"] for line in lines),
        sum(line.amount_minor for line in lines),
    ]


def row_texts(rows: list[list[tuple[str, str]]]) -> Iterator[tuple[str, str]]:
    """Every text cell."""
    return (cell for row in rows for cell in row if cell[0] == "inlineStr")


@pytest.mark.parametrize(("currency", "decimals"), [("JPY", "#,##0"), ("EUR", "#,##0.00"), ("KWD", "#,##0.000")])
def test_a_workbook_shows_the_currencys_decimals(currency: str, decimals: str) -> None:
    file = xlsx_of(MERCHANT, lines_of(MERCHANT, 3), currency)
    styles = zipfile.ZipFile(io.BytesIO(file)).read("xl/styles.xml").decode()

    assert f'formatCode="{decimals}"' in styles


def test_an_amount_that_a_spreadsheet_would_round_is_text() -> None:
    line = lines_of(MERCHANT, 1)[0]
    huge = 10**15 + 1
    lines = [replace(line, amounts_minor={"receivable": huge, "prepaid": 0})]

    _, row, total = cells_of(xlsx_of(MERCHANT, lines), 2)

    assert row[-1] == ("inlineStr", "10000000000000.01")
    assert total[-1] == ("inlineStr", "10000000000000.01")


@given(name=TEXTS, issuer=TEXTS, count=st.integers(1, 130))
@settings(max_examples=25, deadline=None)
def test_nothing_is_drawn_beyond_the_margins(name: str, issuer: str, count: int) -> None:
    file = pdf_of(AFFILIATE, lines_of(AFFILIATE, count), name=name, issuer=issuer)

    for page in pages_of(file):
        text = page.get_textpage()
        for index in range(text.count_chars()):
            left, _, right, _ = text.get_charbox(index)
            assert right == 0 or (left > LEFT - 2 and right < RIGHT + 2), text.get_text_range(index, 10)


def test_every_page_says_which_it_is_of_how_many_and_names_the_block() -> None:
    texts = texts_of(pdf_of(AFFILIATE, lines_of(AFFILIATE, 400)))

    assert len(texts) > 5
    for n, text in enumerate(texts, start=1):
        assert re.sub(r"\s+", " ", f"Page {n} of {len(texts)}") in re.sub(r"\s+", " ", text)
        assert "Block 4711" in text
        assert hashlib.sha256(b"block").hexdigest() in text
        assert "CS-000012" in text
    assert all("Conversion or transaction" in text for text in texts[:-1])


def test_every_line_is_on_paper_once_with_its_group_and_subtotals() -> None:
    lines = lines_of(AFFILIATE, 200)
    text = "\n".join(texts_of(pdf_of(AFFILIATE, lines)))

    for line in lines:
        assert text.count(str(line.conversion_id or line.transaction_id)) == 1
    for heading in ("Offer 12 · Summer shoes", "Offer 907 · Ωμέγα Зима", "Bonus", "Payout", "Currency revaluation"):
        assert heading in text
    assert "Unheard of" in text
    assert "Reversal: order cancelled" in text
    assert text.count("Subtotal") == 7
    assert text.count("Closing balance") == 3


def test_a_kind_that_nobody_named_has_a_readable_title() -> None:
    assert title_of("goal_bonus", AFFILIATE) == "Goal bonus"
    assert title_of("accrual", MERCHANT) == "Charge"
    assert all(title_of(kind, AFFILIATE) for kind in KIND_ORDER)


def test_a_first_page_that_overflows_goes_on_with_the_next() -> None:
    line = lines_of(AFFILIATE, 1)[0]
    lines = [replace(line, offer_id=None, kind=f"kind_{n:02d}", transaction_id=UUID(int=n)) for n in range(60)]

    texts = texts_of(pdf_of(AFFILIATE, lines, name="W" * 200, issuer="M" * 200))

    assert all(f"Kind {n:02d}" in "".join(texts) for n in range(60))
    assert "VAT at 21 %" in texts[1] + texts[2]


def test_a_statement_says_net_vat_and_gross_and_by_which_agreement() -> None:
    lines = lines_of(AFFILIATE, 60)
    text = "".join(texts_of(pdf_of(AFFILIATE, lines)))
    untaxed = document_of(statement_of(AFFILIATE, lines), tax=None)
    without = "".join(texts_of(asyncio.run(joined(statement_pdf(untaxed, streamed(lines))))))

    assert "VAT at 21 %" in text
    assert "SB-AGR-7" in text
    assert "VAT at" not in without
    assert "amounts are without VAT" in without


def test_a_statement_without_lines_is_one_page() -> None:
    (text,) = texts_of(pdf_of(MERCHANT, []))

    assert "1,234.56" in text
    assert "Page 1 of" in text


def test_a_statement_that_is_too_long_for_paper_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "PDF_LINES_MAX", 40)

    assert pdf_of(AFFILIATE, lines_of(AFFILIATE, 36))
    with pytest.raises(StatementTooLong, match="xlsx or csv"):
        pdf_of(AFFILIATE, lines_of(AFFILIATE, 37))
