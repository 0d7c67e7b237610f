"""A seeded network that fills an example's ids by their parameters' names, fresh where the request changes them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final
from urllib.parse import urlsplit
from uuid import uuid4

from tests.e2e.client import BROWSER, Client, Merchant
from tests.e2e.database import database_of
from tests.e2e.interface.payout_world import PayoutWorld
from tests.e2e.network import SETTLE_SECONDS, Affiliate, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

ROBOT: Final = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
PARTY_OF_ROLE: Final = {"merchant": "merchant_id", "affiliate": "affiliate_id"}
Maker = Callable[[], Any]

_NEW_STATEMENT: Final = """
    INSERT INTO statement (number, series, n, merchant_id, affiliate_id, period, currency, block_number, particulars,
        opening_minor, closing_minor, finalised_at)
    SELECT 'CS-' || lpad(n::text, 6, '0'), 'CS', n, $1, $2, '2001-01', 'EUR', 0,
        $3::jsonb || jsonb_build_object('number', 'CS-' || lpad(n::text, 6, '0')), 0, 0, now()
    FROM (SELECT coalesce(max(n), 0) + 1 AS n FROM statement WHERE series = 'CS') AS next RETURNING number
"""


class World:
    """One merchant, one affiliate, one offer, one credited order; more of each as operations use them up."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.network = Network(platform)
        self.public_url = platform.public_url
        self.merchant: Merchant = self.network.merchant("Alder Outdoor")
        self.affiliate: Affiliate = self.network.affiliate("Trail Notes")
        self.offer_id = self.network.offer(
            self.merchant, name="Alder Outdoor: 10 % of every sale", allowed_hosts=["shop.example"]
        )
        self.link = self.network.enrol(self.offer_id, self.affiliate)
        self._months = 0
        self.clients: dict[str, Client] = {
            "": Client(self.public_url),
            "admin": self.network.admin,
            "finance": self.network.finance,
            "merchant": self.merchant.api,
            "affiliate": self.affiliate.api,
        }

    # --- values by parameter name

    def value(self, name: str, operation: str, given: Any, *, changes: bool, role: str) -> Any:
        """What parameter or field `name` of `operation` stands for here; `given` where the example's own will do.

        changes: the request changes what it names, so that each caller needs one of its own. role: who asks.
        """
        if name == "statement_id":
            return self.new_statement_number(role)
        maker = self._of_operation(operation).get(name) or (self._fresh if changes else self._lasting).get(name)
        if maker is None:
            maker = self._always.get(name)
        return given if maker is None else maker()

    def _of_operation(self, operation: str) -> dict[str, Maker]:
        special: dict[str, dict[str, Maker]] = {
            "create_bulk_job": {"rows": self.new_bulk_rows},
            "release_conversion": {"ref": lambda: self.new_conversion(ROBOT)},
            "end_enrolment": {"enrolment_id": self.new_enrolment},
            "apply_for_offer": {"offer_id": lambda: self.network.offer(self.merchant)},
            **{
                f"{verb}_{party}": {f"{party}_id": maker}
                for verb in ("suspend", "reinstate")
                for party, maker in (("merchant", self.new_merchant_id), ("affiliate", self.new_affiliate_id))
            },
            "dry_run_price": {"offer_id": self._always["offer_id"]},
            "enrol_affiliate": {"affiliate_id": self.new_affiliate_id},
            "set_affiliate_tax_settings": {"affiliate_id": lambda: self.affiliate.affiliate_id},
            "set_merchant_tax_settings": {"merchant_id": lambda: self.merchant.merchant_id},
            "exchange_payable": {"affiliate_id": self.affiliate_with_euros},
            "revalue_positions": {"period": self.new_month},
            "record_merchant_payment": {"reference": lambda: f"2026-{uuid4().hex[:8]}"},
            "set_bonus_goal": {"offer_id": lambda: self.offer_id},
            "end_bonus_goal": {"goal_id": self.new_goal_id},
            "take_back_merchant_payment": {"payment_id": self.new_payment_id},
            "confirm_payout_settings": {"affiliate_id": self.payouts.new_payee_id},
            "lift_payout_stop": {"affiliate_id": self.payouts.new_stopped_affiliate_id},
            "approve_payout_run": {"payout_run_id": self.payouts.new_draft},
            "export_payout_run": {"payout_run_id": self.payouts.new_approved_run},
            "cancel_payout_run": {"payout_run_id": self.payouts.new_draft},
            "settle_payout_run": {
                "file_base64": self.payouts.new_settlement,
                "payout_run_id": self.payouts.run_of_settlement,
            },
            "add_affiliate_to_group": {"affiliate_id": self.new_affiliate_id},
            "remove_affiliate_from_group": {"affiliate_id": self.new_member_id},
            "release_commission": {"commission_id": lambda: self.new_over_cap()[1]},
            "release_commissions": {"offer_id": lambda: self.new_over_cap()[0]},
            "list_cap_usages": {"offer_id": lambda: self.over_cap[0]},
            "report_conversions": {"order_id": new_order_id, "click_id": self.new_click},
        }
        return special.get(operation, {})

    @property
    def _always(self) -> dict[str, Maker]:
        return {
            "merchant_id": lambda: self.merchant.merchant_id,
            "affiliate_id": lambda: self.affiliate.affiliate_id,
            "referred_by": lambda: self.affiliate.affiliate_id,
            "offer_id": lambda: self.offer_id,
            "version": lambda: 1,
            "token": lambda: self.merchant.token,
            "click_id": self.new_click,
            "adjustment_id": lambda: f"R-{uuid4().hex[:8]}",
            "account": lambda: f"affiliate_pending:{self.affiliate.affiliate_id}",
            "period": lambda: f"{datetime.now(UTC):%Y-%m}",
        }

    @property
    def _fresh(self) -> dict[str, Maker]:
        return {
            "order_id": new_order_id,
            "ref": self.new_conversion,
            "enrolment_id": self.new_application,
            "offer_id": lambda: self.network.offer(self.merchant),
            "key_id": self.new_key_id,
            "credential_id": self.new_credential_id,
        }

    @property
    def _lasting(self) -> dict[str, Maker]:
        return {
            "order_id": lambda: self.order[0],
            "receipt_id": lambda: self.order[1]["receipt_id"],
            "ref": lambda: self.order[1]["conversion_id"],
            "commission_id": lambda: self.commission_id,
            "enrolment_id": lambda: self.enrolment_id,
            "key_id": lambda: self.key_id,
            "erasure_id": lambda: self.erasure_id,
            "job_id": lambda: self.job_id,
            "payout_run_id": lambda: self.payouts.exported_run,
        }

    # --- what lasts

    @cached_property
    def order(self) -> tuple[str, dict[str, Any]]:
        """A pending conversion that stays so: its order id and the answer to its postback."""
        order_id = new_order_id()
        return order_id, self._report(order_id, self.new_click())

    @cached_property
    def commission_id(self) -> str:
        """The commission of that order, once it is credited."""
        conversion_id = self.order[1]["conversion_id"]

        def find() -> str:
            items = self.affiliate.api.get("/v1/commissions", limit=200).body["items"]
            return next((str(item["id"]) for item in items if item["conversion_id"] == conversion_id), "")

        wait_until(lambda: find() != "", SETTLE_SECONDS, "the order is credited")
        return find()

    @cached_property
    def payouts(self) -> PayoutWorld:
        """Payees and payout runs."""
        return PayoutWorld(self.network, self.merchant)

    @cached_property
    def over_cap(self) -> tuple[int, str]:
        """An offer and a commission that its cap has refused, and that stays so."""
        return self.new_over_cap()

    @cached_property
    def enrolment_id(self) -> int:
        """The affiliate's own enrolment."""
        return int(self.affiliate.api.get("/v1/enrolments", limit=1).body["items"][0]["id"])

    @cached_property
    def erasure_id(self) -> str:
        """A request to erase a click."""
        answer = self.network.admin.post("/v1/erasures", {"click_id": self.new_click()})
        assert answer.status == 202, answer.text
        return str(answer.body["id"])

    @cached_property
    def job_id(self) -> str:
        """A bulk job of the merchant, finished."""
        answer = self.merchant.api.post("/v1/conversions/bulk", {"rows": self.new_bulk_rows()})
        assert answer.status == 202, answer.text
        path = f"/v1/bulk-jobs/{answer.body['id']}"

        def is_finished() -> bool:
            return bool(self.merchant.api.get(path).body["status"] == "finished")

        wait_until(is_finished, SETTLE_SECONDS, "the bulk job is finished")
        return str(answer.body["id"])

    @cached_property
    def key_id(self) -> str:
        """The affiliate's own key."""
        return self.affiliate.api.key.split("_")[2]

    # --- what is used up

    def new_click(self, user_agent: str = BROWSER) -> str:
        """A fresh click's ID. A robot's is flagged."""
        path = urlsplit(self.link).path
        answer = self.clients[""].send("GET", f"{path}?format=json&sub1=newsletter", headers={"User-Agent": user_agent})
        return str(answer.body["click_id"])

    def new_conversion(self, user_agent: str = BROWSER) -> str:
        """A fresh conversion's id: pending, or held for a robot's click."""
        return str(self._report(new_order_id(), self.new_click(user_agent))["conversion_id"])

    def new_bulk_rows(self) -> list[dict[str, Any]]:
        """Rows of a bulk job: a conversion to be approved, and one that is not there."""
        return [
            {"ref": self.new_conversion(), "action": "approve"},
            {"ref": "order:A-unknown", "action": "reject", "reason_code": "order_cancelled"},
        ]

    def _report(self, order_id: str, click_id: str) -> dict[str, Any]:
        answer = self.merchant.postback(order_id=order_id, click_id=click_id, amount="100.00", currency="EUR")
        assert answer.status == 201, answer.text
        reported: dict[str, Any] = answer.body
        return reported

    def new_over_cap(self) -> tuple[int, str]:
        """A fresh offer whose cap takes one sale a month, and the commission of a second one."""
        cap = {"name": "monthly", "scope": "offer", "period": "month", "count": 1}
        offer_id = self.network.offer(self.merchant, caps=[cap])
        path = urlsplit(self.network.enrol(offer_id, self.affiliate)).path
        for _ in range(2):
            click = self.clients[""].send("GET", f"{path}?format=json", headers={"User-Agent": BROWSER})
            self._report(new_order_id(), str(click.body["click_id"]))

        def find() -> str:
            items = self.network.finance.get("/v1/commissions", offer_id=offer_id, status="over_cap").body["items"]
            return str(items[0]["id"]) if items else ""

        wait_until(lambda: find() != "", SETTLE_SECONDS, "the cap has refused the second sale")
        return offer_id, find()

    def new_merchant_id(self) -> int:
        """A fresh merchant."""
        return int(self.network.made("/v1/merchants", {"name": f"Merchant {uuid4().hex[:8]}"})["id"])

    def new_affiliate_id(self) -> int:
        """A fresh affiliate."""
        return int(self.network.made("/v1/affiliates", {"name": f"Affiliate {uuid4().hex[:8]}"})["id"])

    def new_statement_number(self, role: str) -> str:
        """A fresh numbered statement of nothing: a merchant's own where a merchant asks, else of a new affiliate.

        Written into the database: no month of this network is over yet.
        """
        merchant_id = self.merchant.merchant_id if role == "merchant" else None
        affiliate_id = {"merchant": None, "affiliate": self.affiliate.affiliate_id}.get(role, self.new_affiliate_id())
        name: dict[str, Any] = {"name": "Nobody", "address": [], "tax_id": None}
        particulars = json.dumps({"issuer": name, "party": name})
        with database_of(self.network.platform, "commissions") as stored:
            stored.execute("INSERT INTO period_close VALUES ('2001-01', 0, now()) ON CONFLICT DO NOTHING")
            return str(stored.rows(_NEW_STATEMENT, merchant_id, affiliate_id, particulars)[0][0])

    def affiliate_with_euros(self) -> int:
        """The affiliate, once something in EUR is payable to it, and a rate into USD is recorded."""
        rate = {
            "base": "EUR",
            "quote": "USD",
            "rate": "1.0842",
            "source": "house_bank",
            "as_of": f"{datetime.now(UTC):%Y-%m-%d}",
        }
        self.network.finance.post("/v1/exchange-rates", {"rates": [rate]})
        approved = self.merchant.api.post(f"/v1/conversions/{self.new_conversion()}/approve")
        assert approved.status == 200, approved.text

        def payable() -> bool:
            items = self.affiliate.api.get("/v1/balance").body["items"]
            return any(item["currency"] == "EUR" and item["payable"]["amount"] != "0.00" for item in items)

        wait_until(payable, SETTLE_SECONDS, "something is payable")
        return self.affiliate.affiliate_id

    def new_month(self) -> str:
        """A month before the network's first booking that was not revalued yet; each is after the one before."""
        self._months += 1
        return f"{2000 + self._months // 12}-{self._months % 12 + 1:02d}"

    def new_member_id(self) -> int:
        """A fresh affiliate in the group `gold`."""
        affiliate_id = self.new_affiliate_id()
        answer = self.network.admin.send("PUT", f"/v1/affiliates/{affiliate_id}/groups/gold")
        assert answer.status == 200, answer.text
        return affiliate_id

    def new_goal_id(self) -> str:
        """A fresh goal of the offer."""
        goal = {
            "offer_id": self.offer_id,
            "conversions": 50,
            "amount": {"amount": "100.00", "currency": "EUR"},
            "paid_by": "merchant",
            "reason_code": "fifty_sales",
            "first_period": "2099-01",
        }
        return str(self.network.made("/v1/bonus-goals", goal)["id"])

    def new_payment_id(self) -> str:
        """A fresh payment of the merchant."""
        payment = {
            "merchant_id": self.merchant.merchant_id,
            "amount": {"amount": "500.00", "currency": "EUR"},
            "received_on": "2026-11-23",
            "reference": f"2026-{uuid4().hex[:8]}",
        }
        return str(self.network.made("/v1/merchant-payments", payment)["payment_id"])

    def new_application(self) -> int:
        """A fresh affiliate's application to the offer."""
        applicant = self.network.affiliate()
        answer = applicant.api.post(f"/v1/offers/{self.offer_id}/applications")
        assert answer.status == 201, answer.text
        return int(answer.body["id"])

    def new_enrolment(self) -> int:
        """A fresh affiliate's approved enrolment."""
        ids = {"offer_id": self.offer_id, "affiliate_id": self.network.affiliate().affiliate_id}
        return int(self.network.made("/v1/enrolments", ids)["id"])

    def new_key_id(self) -> str:
        """A fresh key of the affiliate."""
        return self.network.key("affiliate", affiliate_id=self.affiliate.affiliate_id).split("_")[2]

    def new_credential_id(self) -> str:
        """A fresh token of the merchant."""
        path = f"/v1/merchants/{self.merchant.merchant_id}/postback-credentials"
        return str(self.network.made(path, {"kind": "token"})["id"])


def new_order_id() -> str:
    """An order id that was never used."""
    return f"A-{uuid4().hex[:8]}"
