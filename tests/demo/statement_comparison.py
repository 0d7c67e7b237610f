"""Statements against the model, line by line: each conversion's lines, each section, and CSV against JSON."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.demo.amounts import minor_of, text_of
from tests.demo.expected import ExpectedConversion, affiliate_totals, merchant_totals
from tests.demo.model import Model
from tests.demo.observed import Items, Observed

Earned = Mapping[str, int]
"""What stands for each conversion, in minor units, by conversion id."""


def statement_differences(model: Model, observed: Observed) -> Iterator[str]:
    """What the statements of affiliates and merchants say that the model does not."""
    conversions = list(model.conversions.values())
    owed, charged = affiliate_totals(conversions), merchant_totals(conversions)
    for (affiliate_id, currency), statement in observed.statements.items():
        own = owed.get((affiliate_id, currency))
        sections = {"pending": own.pending if own else 0, "payable": own.payable if own else 0}
        earned = {
            str(c.conversion_id): earning.commission_minor
            for c, earning in _earning(conversions, currency)
            if c.click is not None and c.click.affiliate_id == affiliate_id
        }
        rows = observed.statement_rows[affiliate_id, currency]
        yield from _statement(f"affiliate {affiliate_id}", statement, rows, sections, earned)
    for (merchant_id, currency), statement in observed.merchant_statements.items():
        own = charged.get((merchant_id, currency))
        earned = {
            str(c.conversion_id): earning.commission_minor + earning.margin_minor
            for c, earning in _earning(conversions, currency)
            if c.key[0] == merchant_id
        }
        rows = observed.merchant_statement_rows[merchant_id, currency]
        sections = {"receivable": own.charged if own else 0, "prepaid": 0}
        yield from _statement(f"merchant {merchant_id}", statement, rows, sections, earned)


def _earning(conversions: list[ExpectedConversion], currency: str) -> Iterator[tuple[ExpectedConversion, Any]]:
    for conversion in conversions:
        earning = conversion.earning()
        if earning is not None and earning.currency == currency:
            yield conversion, earning


def _statement(
    party: str, statement: Mapping[str, Any], rows: Items, sections: Mapping[str, int], earned: Earned
) -> Iterator[str]:
    currency = statement["currency"]
    name = f"statement of {party} in {currency}"
    found = {section["name"]: section["closing"] for section in statement["sections"]}
    expected = {section: text_of(minor, currency) for section, minor in sections.items()}
    if found != expected:
        yield f"wrong: {name} closes with {found}, not {expected}"
    if statement["closing"] != text_of(sum(sections.values()), currency):
        yield f"wrong: {name} closes with {statement['closing']}, not the sum of {expected}"
    moved = sum(minor_of(line["amount"], currency) for line in statement["lines"])
    if minor_of(statement["opening"], currency) + moved != minor_of(statement["closing"], currency):
        yield f"wrong: {name}: opening and lines do not come to the closing"
    if not statement["opening"].strip("0."):
        yield from _lines(name, statement, earned)
    yield from _csv(name, statement, rows)


def _lines(name: str, statement: Mapping[str, Any], earned: Earned) -> Iterator[str]:
    """A conversion's lines come to what stands for it; one that was never credited has none."""
    currency = statement["currency"]
    sums: dict[str, int] = {}
    for line in statement["lines"]:
        sums[line["conversion_id"]] = sums.get(line["conversion_id"], 0) + minor_of(line["amount"], currency)
    for conversion_id in sums.keys() | earned.keys():
        found, expected = sums.get(conversion_id, 0), earned.get(conversion_id, 0)
        if found != expected or conversion_id not in earned:
            yield f"wrong: {name}: lines of conversion {conversion_id} come to {found}, not {expected}"


def _csv(name: str, statement: Mapping[str, Any], rows: Items) -> Iterator[str]:
    lines = [(line["transaction_id"], line["kind"], line["amount"]) for line in statement["lines"]]
    in_csv = [(row["transaction_id"], row["kind"], row["amount"]) for row in rows if row["row"] == "line"]
    edges = {row["row"]: row["amount"] for row in rows if row["row"] in ("opening", "closing")}
    if in_csv != lines or edges != {"opening": statement["opening"], "closing": statement["closing"]}:
        yield f"wrong: {name} says one thing as JSON and another as CSV"
