"""One statement as JSON and as CSV, line by line: the same statement gives the same bytes for ever.

Whether its period is closed yet is no part of it: that changes, and travels beside it in a header.
"""

import csv
import io
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from services.commissions.domain.statement import Party, Statement, StatementLine
from services.commissions.domain.statement_document import Letterhead, StatementDocument
from shared.contracts.commissions import RateUsedV1
from shared.kernel.money import Money

CSV_CONTENT_TYPE: Final = "text/csv; charset=utf-8"
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_LINE_COLUMNS: Final = (
    "block_number",
    "block_hash",
    "booked_at",
    "occurred_at",
    "kind",
    "reason_code",
    "offer_id",
    "conversion_id",
    "commission_id",
    "transaction_id",
    "exchange_rate",
)


async def statement_json(document: StatementDocument, lines: AsyncIterator[StatementLine]) -> AsyncIterator[bytes]:
    """The statement as one JSON object; its lines last, as they are read. A numbered one has the member `document`."""
    statement, head = document.statement, statement_head(document.statement)
    if document.particulars.number is not None:
        head["document"] = particulars_document(document)
    yield _json(head)[:-1] + b',"lines":['
    separator = b""
    async for line in lines:
        yield separator + _json(_line(statement, line))
        separator = b","
    yield b"]}"


async def statement_csv(statement: Statement, lines: AsyncIterator[StatementLine]) -> AsyncIterator[bytes]:
    """The statement as CSV: a row `opening`, a row `line` each, a row `total` a kind, a row `closing`.

    Opening and closing name the block of the cut and its hash. Amounts are plain numbers; no text can be a formula.
    """
    sections = [section.name for section in statement.sections]
    yield _row(["row", "party", "period", "currency", *_LINE_COLUMNS, *sections, "amount"])
    yield _edge(statement, "opening", [section.opening_minor for section in statement.sections])
    async for line in lines:
        yield _csv_line(statement, line, sections)
    kinds = sorted({kind for section in statement.sections for kind in section.totals_minor})
    for kind in kinds:
        amounts = [section.totals_minor.get(kind, 0) for section in statement.sections]
        yield _csv_row(statement, "total", {"kind": kind}, amounts)
    yield _edge(statement, "closing", [section.closing_minor for section in statement.sections])


def statement_head(statement: Statement) -> dict[str, Any]:
    """Everything but the lines. Amounts are decimal text in the statement's one currency."""
    cut = statement.cut
    return {
        "party": party_document(statement.party),
        "period": str(statement.period),
        "currency": statement.currency,
        "block": {"number": cut.number, "hash": cut.hash.hex(), "booked_at": instant_text(cut.booked_at)},
        "opening": _text(statement, statement.opening_minor),
        "closing": _text(statement, statement.closing_minor),
        "sections": [
            {
                "name": section.name,
                "opening": _text(statement, section.opening_minor),
                "totals": {kind: _text(statement, minor) for kind, minor in section.totals_minor.items()},
                "closing": _text(statement, section.closing_minor),
            }
            for section in statement.sections
        ],
    }


def particulars_document(document: StatementDocument) -> dict[str, Any]:
    """What a numbered statement says besides its amounts; VAT as decimal text in the statement's currency."""
    particulars, tax, lines = document.particulars, document.particulars.tax, document.tax_lines
    shown: dict[str, Any] = {
        "number": particulars.number,
        "title": document.title,
        "replaces": particulars.replaces,
        "issuer": _letterhead(particulars.issuer),
        "party": _letterhead(particulars.party),
        "tax": None,
    }
    if tax is not None and lines is not None:
        shown["tax"] = {
            "net": _text(document.statement, lines.net_minor),
            "vat": _text(document.statement, lines.vat_minor),
            "gross": _text(document.statement, lines.gross_minor),
            "rate_percent": str(lines.rate_percent),
            "country": tax.country,
            "reverse_charge": tax.is_reverse_charge,
            "self_billing_reference": None if tax.self_billing is None else tax.self_billing.reference,
        }
    return shown


def _letterhead(letterhead: Letterhead) -> dict[str, Any]:
    return {"name": letterhead.name, "address": list(letterhead.address), "tax_id": letterhead.tax_id}


def party_document(party: Party) -> dict[str, Any]:
    """Whose: `{"kind": "affiliate", "id": 7}`."""
    if party.affiliate_id is not None:
        return {"kind": "affiliate", "id": party.affiliate_id}
    return {"kind": "merchant", "id": party.merchant_id}


def file_name(document: StatementDocument, extension: str) -> str:
    """`statement-affiliate-7-2026-11-EUR.csv`, or `SB-000042.csv` of a numbered one."""
    statement, number = document.statement, document.particulars.number
    if number is not None:
        return f"{number}.{extension}"
    party = party_document(statement.party)
    return f"statement-{party['kind']}-{party['id']}-{statement.period}-{statement.currency}.{extension}"


def instant_text(instant: datetime | None) -> str | None:
    """RFC 3339 in UTC, always with six decimals, so that it never varies."""
    return None if instant is None else instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _line(statement: Statement, line: StatementLine) -> dict[str, Any]:
    return {
        "block_number": line.block_number,
        "booked_at": instant_text(line.booked_at),
        "occurred_at": instant_text(line.occurred_at),
        "kind": line.kind,
        "reason_code": line.reason_code,
        "offer_id": line.offer_id,
        "conversion_id": _id_text(line.conversion_id),
        "commission_id": _id_text(line.commission_id),
        "transaction_id": str(line.transaction_id),
        "exchange_rate": _rate(line),
        "amounts": {name: _text(statement, minor) for name, minor in line.amounts_minor.items()},
        "amount": _text(statement, line.amount_minor),
    }


def _csv_line(statement: Statement, line: StatementLine, sections: Sequence[str]) -> bytes:
    fields = {name: value for name, value in _line(statement, line).items() if name in _LINE_COLUMNS}
    fields["exchange_rate"] = None if line.rate is None else rate_line(line.rate)
    return _csv_row(statement, "line", fields, [line.amounts_minor[name] for name in sections])


def _edge(statement: Statement, row: str, amounts: Sequence[int]) -> bytes:
    cut = statement.cut
    fields = {
        "block_number": cut.number,
        "block_hash": cut.hash.hex(),
        "booked_at": instant_text(cut.booked_at),
    }
    return _csv_row(statement, row, fields, amounts)


def _csv_row(statement: Statement, row: str, fields: Mapping[str, Any], amounts_minor: Sequence[int]) -> bytes:
    party = party_document(statement.party)
    texts = [row, f"{party['kind']}:{party['id']}", str(statement.period), statement.currency]
    texts += ["" if fields.get(name) is None else str(fields[name]) for name in _LINE_COLUMNS]
    amounts = [_text(statement, minor) for minor in (*amounts_minor, sum(amounts_minor))]
    return _row([*map(_harmless, texts), *amounts])


def _harmless(text: str) -> str:
    """A spreadsheet runs what begins like a formula; an apostrophe makes it text."""
    return f"'{text}" if text.startswith(_FORMULA_STARTS) else text


def _row(texts: Sequence[str]) -> bytes:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow(texts)
    return written.getvalue().encode()


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def rate_line(rate: RateUsedV1) -> str:
    """A frozen rate on one line: `1 USD = 0.8 EUR (ecb 2026-11-23)`."""
    return f"1 {rate.base} = {rate.rate} {rate.quote} ({rate.source} {rate.as_of})"


def _rate(line: StatementLine) -> dict[str, str] | None:
    return None if line.rate is None else msgspec.to_builtins(line.rate)


def _text(statement: Statement, amount_minor: int) -> str:
    return Money(amount_minor, statement.currency).decimal_text()


def _id_text(value: object) -> str | None:
    return None if value is None else str(value)
