"""What finance does at the end: pay, take the bank's answer, read every statement, and add it all up."""

import base64
import csv
import io
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final
from xml.etree import ElementTree

from tests.month.caller import MonthFailed
from tests.month.network import Network

RUNS: Final = (("EUR", "bank", "pain.001"), ("USD", "csv", "csv"), ("GBP", "csv", "csv"))
OWED: Final = ("affiliate_pending", "affiliate_payable")
DUE: Final = ("merchant_receivable", "merchant_prepaid")


@dataclass(frozen=True, slots=True)
class Paid:
    """One run: how many payees, and how much in all, as its file says."""

    currency: str
    payees: int
    amount: Decimal


async def pay(network: Network, up_to: str) -> list[Paid]:
    """A run for each currency: drafted by one, approved by another, exported, settled by the bank's answer."""
    return [await _run(network, currency, method, kind, up_to) for currency, method, kind in RUNS]


async def _run(network: Network, currency: str, method: str, kind: str, up_to: str) -> Paid:
    terms = {"currency": currency, "method": method, "up_to": up_to}
    run = await network.first.post("/v1/payout-runs", terms)
    path = f"/v1/payout-runs/{run['id']}"
    await network.second.post(f"{path}/approve")
    await network.first.post(f"{path}/export")
    content, again = [await network.first.get(f"{path}/file", format=kind) for _ in range(2)]
    if content != again:
        raise MonthFailed("a payout file is not the same twice")
    lines = [line async for line in network.first.pages(f"{path}/lines") if line["state"] == "exported"]
    await network.first.post(f"{path}/settlements", _answer_of_bank(lines))
    paid = Paid(currency, len(lines), sum((Decimal(line["amount"]["amount"]) for line in lines), Decimal(0)))
    if _total_of(content, kind) != paid.amount:
        raise MonthFailed(f"the file of the run in {currency} pays another sum than its lines")
    return paid


def _answer_of_bank(lines: list[dict[str, Any]]) -> dict[str, str]:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["end_to_end_id", "amount", "currency", "status", "booked_on", "bank_reference", "reason"])
    for line in lines:
        amount = line["amount"]
        writer.writerow([line["end_to_end_id"], amount["amount"], amount["currency"], "settled", "2026-10-17", "", ""])
    return {"format": "csv", "file_base64": base64.b64encode(text.getvalue().encode()).decode()}


def _total_of(content: bytes, kind: str) -> Decimal:
    if kind == "csv":
        return sum((Decimal(row["amount"]) for row in csv.DictReader(io.StringIO(content.decode()))), Decimal(0))
    root = ElementTree.fromstring(content)
    return sum((Decimal(node.text or "0") for node in root.iter() if node.tag.endswith("}InstdAmt")), Decimal(0))


async def reconcile(network: Network, period: str) -> dict[str, tuple[int, Decimal, Decimal]]:
    """Every statement of `period` against the trial balance at its block, to the cent; gives them by currency.

    By currency: how many statements, what affiliates are owed, what merchants owe. Raises MonthFailed.
    """
    owed: dict[str, Decimal] = {}
    counts: Counter[str] = Counter()
    seen: set[tuple[str, int, str]] = set()
    block = 0
    async for row in network.first.pages("/v1/statements"):
        if row["period"] > period:
            continue
        party = row["party"]["kind"]
        key = (party, row["party"]["id"], row["currency"])
        if key in seen:
            continue  # a party's newest statement up to the period carries what it closes with
        seen.add(key)
        books = f"{party} {row['currency']}"
        owed[books] = owed.get(books, Decimal(0)) + Decimal(row["closing"])
        counts[row["currency"]] += 1
        if row["period"] == period:
            block = max(block, row["block_number"])
    trial = await network.first.get("/v1/trial-balance", block=block)
    found = {}
    for item in trial["items"]:
        balances = {each["account_kind"]: Decimal(each["balance"]["amount"]) for each in item["accounts"]}
        currency = item["currency"]
        if Decimal(item["total"]["amount"]) != 0:
            raise MonthFailed(f"the books in {currency} do not balance")
        affiliates = -sum((balances.get(kind, Decimal(0)) for kind in OWED), Decimal(0))
        merchants = sum((balances.get(kind, Decimal(0)) for kind in DUE), Decimal(0))
        stated = tuple(owed.get(f"{party} {currency}", Decimal(0)) for party in ("affiliate", "merchant"))
        if stated != (affiliates, merchants):
            raise MonthFailed(f"statements in {currency} come to {stated}, the ledger to {(affiliates, merchants)}")
        found[currency] = (counts[currency], affiliates, merchants)
    return found
