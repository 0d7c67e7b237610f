"""Payees with money to be paid, and payout runs in every state, on a running platform."""

import base64
import json
from datetime import UTC, datetime
from functools import cached_property
from typing import Any
from uuid import uuid4

from tests.e2e.client import Client, Merchant, click_id_in
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import wait_until

_HEAD = "end_to_end_id,amount,currency,status,booked_on,bank_reference,reason"
_DETAILS = {"account_holder": "Trail Notes", "iban": "DE89370400440532013000"}


class PayoutWorld:
    """Makes what the operations about payouts use up. Runs are plain files: no payer has to be set for them."""

    def __init__(self, network: Network, merchant: Merchant) -> None:
        self.network = network
        self.merchant = merchant
        self._settled_run = ""

    def new_payee_id(self) -> int:
        """A fresh affiliate that has said how it wants to be paid."""
        affiliate_id = int(self.network.made("/v1/affiliates", {"name": f"Affiliate {uuid4().hex[:8]}"})["id"])
        self._set(affiliate_id)
        return affiliate_id

    def new_stopped_affiliate_id(self) -> int:
        """A fresh affiliate whose payouts are stopped."""
        affiliate_id = int(self.network.made("/v1/affiliates", {"name": f"Affiliate {uuid4().hex[:8]}"})["id"])
        body = {"affiliate_id": affiliate_id, "reason_code": "affiliate_asked"}
        self._write_once_known("POST", "/v1/payout-stops", body)
        return affiliate_id

    def new_draft(self) -> str:
        """A draft that pays a fresh payee, drafted by a key of its own."""
        self._new_credited_payee()
        drafter = Client(self.network.platform.public_url, self.network.key("finance"))
        body = {"currency": "EUR", "method": "csv", "up_to": f"{datetime.now(UTC):%Y-%m-%d}"}
        answer = drafter.post("/v1/payout-runs", body)
        assert answer.status == 201, answer.text
        return str(answer.body["id"])

    def new_approved_run(self) -> str:
        """The same, approved."""
        return self._stepped(self.new_draft(), "approve")

    def new_exported_run(self) -> str:
        """The same, exported."""
        return self._stepped(self.new_approved_run(), "export")

    @cached_property
    def exported_run(self) -> str:
        """One that stays exported."""
        return self.new_exported_run()

    def new_settlement(self) -> str:
        """The bank's answer to a fresh run, in base64."""
        self._settled_run = self.new_exported_run()
        lines = self.network.finance.get(f"/v1/payout-runs/{self._settled_run}/lines", limit=200, state="exported")
        rows = [
            f"{line['end_to_end_id']},{line['amount']['amount']},EUR,settled,2026-11-25,,"
            for line in lines.body["items"]
        ]
        return base64.b64encode("\n".join([_HEAD, *rows, ""]).encode()).decode()

    def run_of_settlement(self) -> str:
        """The run that the last answer is to."""
        return self._settled_run

    def _stepped(self, run_id: str, verb: str) -> str:
        answer = self.network.admin.post(f"/v1/payout-runs/{run_id}/{verb}")
        assert answer.status == 200, answer.text
        return run_id

    def _new_credited_payee(self) -> None:
        affiliate = self.network.affiliate()
        link = self.network.enrol(self._offer_id, affiliate)
        answer = self.merchant.postback(
            order_id=f"O-{uuid4().hex[:12]}",
            click_id=click_id_in(self.network.shopper.click(link).location),
            amount="1000.00",
            currency="EUR",
        )
        assert answer.status == 201, answer.text
        approved = self.merchant.api.post(f"/v1/conversions/{answer.body['conversion_id']}/approve")
        assert approved.status == 200, approved.text
        self._set(affiliate.affiliate_id)
        wait_until(lambda: self._payable(affiliate.affiliate_id), SETTLE_SECONDS, "the commission is payable")

    @cached_property
    def _offer_id(self) -> int:
        return self.network.offer(self.merchant, hold_days=0)

    def _payable(self, affiliate_id: int) -> bool:
        items = self.network.finance.get("/v1/balance", affiliate_id=affiliate_id).body["items"]
        return any(item["payable"]["amount"] != "0.00" for item in items)

    def _set(self, affiliate_id: int) -> None:
        body = {
            "threshold": {"amount": "25.00", "currency": "EUR"},
            "frequency": "monthly",
            "method": "csv",
            "country": "DE",
            "details": _DETAILS,
        }
        self._write_once_known("PUT", f"/v1/payout-settings?affiliate_id={affiliate_id}", body)

    def _write_once_known(self, method: str, path: str, body: dict[str, Any]) -> None:
        """As finance, as soon as commissions has heard of the affiliate."""
        content, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
        client = self.network.finance
        wait_until(
            lambda: client.send(method, path, content, headers).status == 200, SETTLE_SECONDS, "commissions knows it"
        )
