"""What the platform says when asked: every page of every list, as the parties themselves see it."""

import asyncio
import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode

from tests.demo.history import Attempt
from tests.demo.sender import Sender, api_request
from tests.demo.stage import Network

PAGE: Final = 200
PAGES_MAX: Final = 500
Items = Sequence[Mapping[str, Any]]


class UnexpectedAnswer(Exception):
    """The platform did not let a party read what is its own."""


@dataclass(frozen=True, slots=True)
class Observed:
    """By merchant id: conversions, receipts, merchant_statements. By affiliate id: the others.

    statements: (party id, currency) → statement, as JSON; statement_rows: the same as CSV.
    """

    conversions: Mapping[int, Items]
    receipts: Mapping[int, Items]
    clicks: Mapping[int, Items]
    affiliate_conversions: Mapping[int, Items]
    commissions: Mapping[int, Items]
    balances: Mapping[int, Items]
    statements: Mapping[tuple[int, str], Mapping[str, Any]]
    statement_rows: Mapping[tuple[int, str], Items]
    merchant_statements: Mapping[tuple[int, str], Mapping[str, Any]]
    merchant_statement_rows: Mapping[tuple[int, str], Items]
    trial_balance: Items


class Observer:
    """Asks on behalf of every party of one network. finance_key: a key of the role finance."""

    def __init__(self, sender: Sender, network: Network, finance_key: str) -> None:
        self._sender = sender
        self._network = network
        self._finance_key = finance_key

    @property
    def affiliates(self) -> Mapping[int, str]:
        """Key by affiliate id, the stranger's too."""
        everyone = (*self._network.affiliates, self._network.stranger)
        return {affiliate.affiliate_id: affiliate.api_key for affiliate in everyone}

    @property
    def merchants(self) -> Mapping[int, str]:
        """Key by merchant id."""
        return {merchant.merchant_id: merchant.api_key for merchant in self._network.merchants}

    async def balances(self) -> Mapping[int, Items]:
        """Every affiliate's balance: the quick look that tells whether things have settled."""
        return await self._of_each(self.affiliates, "/v1/balance")

    async def everything(self, currencies: Sequence[str]) -> Observed:
        """All of it."""
        period = f"{datetime.now(UTC):%Y-%m}"
        statements, rows = await self._statements(self.affiliates, currencies, period)
        merchant_statements, merchant_rows = await self._statements(self.merchants, currencies, period)
        return Observed(
            conversions=await self._of_each(self.merchants, "/v1/conversions"),
            receipts=await self._of_each(self.merchants, "/v1/receipts"),
            clicks=await self._of_each(self.affiliates, "/v1/clicks"),
            affiliate_conversions=await self._of_each(self.affiliates, "/v1/conversions"),
            commissions=await self._of_each(self.affiliates, "/v1/commissions"),
            balances=await self.balances(),
            statements=statements,
            statement_rows=rows,
            merchant_statements=merchant_statements,
            merchant_statement_rows=merchant_rows,
            trial_balance=await self._pages("/v1/trial-balance", self._finance_key),
        )

    async def _of_each(self, keys: Mapping[int, str], path: str) -> dict[int, Items]:
        lists = await asyncio.gather(*(self._pages(path, key) for key in keys.values()))
        return dict(zip(keys, lists, strict=True))

    async def _pages(self, path: str, key: str) -> Items:
        items: list[Mapping[str, Any]] = []
        cursor = None
        for _ in range(PAGES_MAX):
            query = {"limit": str(PAGE), **({"cursor": cursor} if cursor else {})}
            page = (await self._get(f"{path}?{urlencode(query)}", key)).json()
            items += page["items"]
            cursor = page.get("next_cursor")
            if cursor is None:
                return items
        raise UnexpectedAnswer(f"{path}: more than {PAGES_MAX} pages")

    async def _statements(
        self, keys: Mapping[int, str], currencies: Sequence[str], period: str
    ) -> tuple[dict[tuple[int, str], Mapping[str, Any]], dict[tuple[int, str], Items]]:
        wanted = [(party, currency) for party in keys for currency in currencies]

        async def as_json(party: int, currency: str) -> Mapping[str, Any]:
            query = urlencode({"period": period, "currency": currency})
            statement: Mapping[str, Any] = (await self._get(f"/v1/statements?{query}", keys[party])).json()
            return statement

        async def as_csv(party: int, currency: str) -> Items:
            query = urlencode({"period": period, "currency": currency, "format": "csv"})
            answer = await self._get(f"/v1/statements?{query}", keys[party])
            return list(csv.DictReader(io.StringIO(answer.body)))

        statements = await asyncio.gather(*(as_json(*each) for each in wanted))
        lines = await asyncio.gather(*(as_csv(*each) for each in wanted))
        return dict(zip(wanted, statements, strict=True)), dict(zip(wanted, lines, strict=True))

    async def _get(self, target: str, key: str) -> Attempt:
        operation = await self._sender.until_answered("look", lambda: api_request("GET", target, key))
        answer = operation.attempts[-1]
        if answer.status != 200:
            raise UnexpectedAnswer(f"GET {target}: {answer.status} {answer.body}")
        return answer
