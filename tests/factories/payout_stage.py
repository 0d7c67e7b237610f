"""Payees with money to be paid, and the steps of a run, through the API."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal
from uuid import UUID, uuid4

import httpx
from lxml import etree

from shared.contracts.catalogue import MoneyV1, TermV1
from shared.runtime.database import Database
from tests.factories.commissions import conversion, fresh_id, offer_version
from tests.factories.commissions_api import Reader
from tests.factories.ledger import Desk, FixedClock, query
from tests.factories.payouts import IBAN, settings_body, tell_of_affiliate

RUNS = "/v1/payout-runs"
SOLD_AT = datetime(2026, 11, 20, tzinfo=UTC)
_SETTLEMENT_HEAD = "end_to_end_id,amount,currency,status,booked_on,bank_reference,reason"


@dataclass
class PayoutStage:
    """One offer of 100 % to the affiliate; a sale of 100.00 earns 100.00, payable at once."""

    reader: Reader
    worker: Database
    folder: Path
    offer_id: int = field(default_factory=fresh_id)
    sales: dict[int, UUID] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    _sold: dict[UUID, tuple[int, MoneyV1]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.desk = Desk(self.worker, FixedClock(datetime(2026, 11, 24, 8, tzinfo=UTC)))

    @property
    def staff(self) -> Database:
        """Who may look at everything."""
        return self.worker

    async def publish(self) -> None:
        """The offer is known."""
        term = TermV1(event="sale", kind="percentage", rate_percent="100", margin_percent="0")
        await self.desk.publish(offer_version(self.offer_id, terms=[term]))

    async def clear(self) -> None:
        """Cancel what this test left open and suspend its payees, so that no other test finds them."""
        for run_id in self.opened:
            await self.act(run_id, "cancel")
        for affiliate_id in self.sales:
            await self.suspend(affiliate_id)

    def later(self, instant: str) -> None:
        """Set the API's clock."""
        (self.folder / "clock").write_text(instant)

    # --- payees

    async def affiliate(self, amount_minor: int) -> int:
        """Known, active, with something payable in EUR."""
        affiliate_id = fresh_id()
        await tell_of_affiliate(self.worker, affiliate_id)
        self.sales[affiliate_id] = await self.sale(affiliate_id, amount_minor)
        return affiliate_id

    async def payee(
        self, amount_minor: int, *, iban: str = IBAN, country: str = "DE", body: dict[str, Any] | None = None
    ) -> int:
        """The same, with settings: by default a bank account, from 25.00 EUR on."""
        affiliate_id = await self.affiliate(amount_minor)
        details = {"account_holder": f"Payee {affiliate_id}", "iban": iban}
        await self.put(affiliate_id, body or settings_body(country=country, details=details))
        return affiliate_id

    async def put(self, affiliate_id: int, body: dict[str, Any]) -> None:
        """Set how an affiliate is paid."""
        answer = await self.reader.send("PUT", "/v1/payout-settings", "affiliate", body, affiliate_id=affiliate_id)
        assert answer.status_code == 200, answer.text

    async def confirm(self, affiliate_id: int) -> None:
        """Finance confirms changed details."""
        answer = await self.reader.send("POST", f"/v1/payout-settings/{affiliate_id}/confirm", "finance")
        assert answer.status_code == 200, answer.text

    async def stop(self, affiliate_id: int) -> None:
        """Finance stops payouts."""
        body = {"affiliate_id": affiliate_id, "reason_code": "suspected_fraud"}
        assert (await self.reader.send("POST", "/v1/payout-stops", "finance", body)).status_code == 200

    async def suspend(self, affiliate_id: int) -> None:
        """The catalogue tells that the affiliate is suspended."""
        await tell_of_affiliate(self.worker, affiliate_id, status="suspended")

    async def sale(self, affiliate_id: int, amount_minor: int, *, currency: str = "EUR") -> UUID:
        """An approved sale, payable at once; gives its conversion."""
        conversion_id, money = uuid4(), MoneyV1(amount_minor=amount_minor, currency=currency)
        self._sold[conversion_id] = (affiliate_id, money)
        for version, status in ((1, "pending"), (2, "approved")):
            await self._say(conversion_id, version, status)  # type: ignore[arg-type]
        return conversion_id

    async def reverse(self, conversion_id: UUID) -> None:
        """All of a sale is taken back."""
        await self._say(conversion_id, 3, "reversed")

    async def _say(self, conversion_id: UUID, version: int, status: Literal["pending", "approved", "reversed"]) -> None:
        affiliate_id, money = self._sold[conversion_id]
        event = conversion(
            version,
            status,
            conversion_id=conversion_id,
            offer_id=self.offer_id,
            affiliate_id=affiliate_id,
            ordered=money,
            occurred_at=SOLD_AT,
        )
        await self.desk.convert(event)

    # --- runs

    async def drafted(
        self,
        *,
        currency: str = "EUR",
        method: str = "bank",
        up_to: str = "2026-11-24",
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """A fresh draft, by the key `drafter`."""
        body = {"currency": currency, "method": method, "up_to": up_to}
        answer = await self.reader.send(
            "POST", RUNS, "finance", body, key_id="drafter", idempotency_key=idempotency_key
        )
        assert answer.status_code == 201, answer.text
        run: dict[str, Any] = answer.json()
        self.opened.append(run["id"])
        return run

    async def act(self, run_id: str, verb: str, *, key_id: str = "second", **more: Any) -> httpx.Response:
        """One step of a run."""
        return await self.reader.send("POST", f"{RUNS}/{run_id}/{verb}", "finance", key_id=key_id, **more)

    async def exported(self, payees: Sequence[int], *, method: str = "bank") -> dict[str, Any]:
        """A run that is exported and pays exactly these."""
        run = await self.drafted(method=method)
        drafted = {line["affiliate_id"] for line in await self.lines(run["id"], state="draft")}
        assert drafted == set(payees)
        for verb in ("approve", "export"):
            answer = await self.act(run["id"], verb)
            assert answer.status_code == 200, answer.text
        return await self.run(run["id"])

    async def run(self, run_id: str) -> dict[str, Any]:
        """A run as it stands."""
        found: dict[str, Any] = (await self.reader.get(f"{RUNS}/{run_id}")).json()
        return found

    async def lines(self, run_id: str, **wanted: Any) -> list[dict[str, Any]]:
        """Every line of a run."""
        lines: list[dict[str, Any]] = []
        cursor: dict[str, Any] = {}
        while True:
            page = (await self.reader.get(f"{RUNS}/{run_id}/lines", limit=200, **wanted, **cursor)).json()
            lines += page["items"]
            if page["next_cursor"] is None:
                return lines
            cursor = {"cursor": page["next_cursor"]}

    async def get_file(self, run_id: str, *, format: str = "pain.001") -> httpx.Response:
        """A run's file, or why there is none."""
        return await self.reader.get(f"{RUNS}/{run_id}/file", format=format)

    async def file(self, run_id: str) -> bytes:
        """A bank run's file."""
        answer = await self.get_file(run_id)
        assert answer.status_code == 200, answer.text
        return answer.content

    def lines_of(self, file: bytes) -> list[tuple[str, str]]:
        """EndToEndId and amount of each payment of a pain.001; its control sum is theirs."""
        root = etree.fromstring(file)
        payments = root.findall(".//{*}CdtTrfTxInf")
        lines = [
            (payment.findtext(".//{*}EndToEndId") or "", payment.findtext(".//{*}InstdAmt") or "")
            for payment in payments
        ]
        cents = sum(int(amount.replace(".", "")) for _, amount in lines)
        assert (root.findtext(".//{*}GrpHdr/{*}CtrlSum") or "").replace(".", "") == str(cents)
        return lines

    async def settle(self, run_id: str, answers: Sequence[tuple[str, str, str]]) -> httpx.Response:
        """The bank's answer in our own table: (end_to_end_id, amount, status) each."""
        return await self.reader.send("POST", f"{RUNS}/{run_id}/settlements", "finance", settlement_body(answers))

    # --- what stands

    async def balance(self, affiliate_id: int) -> dict[str, str]:
        """Payable and paid in EUR."""
        answer = await self.reader.get("/v1/balance", "affiliate", affiliate_id=affiliate_id)
        (item,) = [each for each in answer.json()["items"] if each["currency"] == "EUR"]
        return {name: item[name]["amount"] for name in ("payable", "paid")}

    async def statuses(self, affiliate_id: int) -> dict[str, str]:
        """Status by amount of each commission."""
        answer = await self.reader.get("/v1/commissions", "affiliate", affiliate_id=affiliate_id)
        return {item["amount"]["amount"]: item["status"] for item in answer.json()["items"]}

    async def clearing(self, run_id: str) -> int:
        """What stands on payout_clearing by a run's acts."""
        [(total,)] = await query(
            self.worker,
            "SELECT coalesce(sum(e.amount_minor), 0)::bigint FROM finance_act AS a"
            " JOIN ledger_entry AS e ON e.transaction_id = ANY (a.transaction_ids)"
            " WHERE a.inputs ->> 'run_id' = $1 AND e.account = 'payout_clearing'",
            run_id,
        )
        return int(str(total))


def settlement_body(answers: Sequence[tuple[str, str, str]]) -> dict[str, str]:
    """A bank's answer in our own table, as the route takes it."""
    rows = [f"{name},{amount},EUR,{status},2026-11-25,," for name, amount, status in answers]
    content = "\n".join([_SETTLEMENT_HEAD, *rows, ""]).encode()
    return {"format": "csv", "file_base64": base64.b64encode(content).decode()}
