"""A small fresh network for one test, made over the admin API."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from shared.contracts.catalogue import offer_version_key
from tests.e2e.client import Client, Merchant, Shopper
from tests.e2e.database import database_of
from tests.e2e.metrics import value_of
from tests.e2e.running_platform import RunningPlatform, wait_until

SETTLE_SECONDS = 30.0
MONTH_SECONDS = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Affiliate:
    """An affiliate with its API key."""

    affiliate_id: int
    api: Client


class Network:
    """The admin's hands. Every name is fresh, so that any number of tests share one platform."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.platform = platform
        self.admin = Client(platform.public_url, platform.admin_key)
        self.finance = Client(platform.public_url, self.key("finance"))
        self.shopper = Shopper(platform.public_url)

    def made(self, path: str, content: object = None) -> dict[str, Any]:
        """What the admin's POST made. Raises AssertionError with the answer when it was refused."""
        answer = self.admin.post(path, content)
        assert answer.status in (200, 201), f"POST {path}: {answer.status} {answer.text}"
        made: dict[str, Any] = answer.body
        return made

    def key(self, role: str, **tenant: int) -> str:
        """A new API key."""
        return str(self.made("/v1/keys", {"role": role, "label": "e2e", **tenant})["key"])

    def merchant(self, name: str = "Merchant") -> Merchant:
        """A merchant whose credentials the postback door knows already."""
        merchant_id = self.made("/v1/merchants", {"name": _fresh(name)})["id"]
        credentials = f"/v1/merchants/{merchant_id}/postback-credentials"
        secret = self.made(credentials, {"kind": "hmac"})["secret"]
        token = self.made(credentials, {"kind": "token"})["secret"]
        api = Client(self.platform.public_url, self.key("merchant", merchant_id=merchant_id))
        merchant = Merchant(merchant_id, api, secret, token)
        wait_until(lambda: _is_known(merchant), SETTLE_SECONDS, "the merchant's credentials are known")
        return merchant

    def affiliate(self, name: str = "Affiliate") -> Affiliate:
        """An affiliate, enrolled nowhere."""
        affiliate_id = self.made("/v1/affiliates", {"name": _fresh(name)})["id"]
        return Affiliate(
            affiliate_id, Client(self.platform.public_url, self.key("affiliate", affiliate_id=affiliate_id))
        )

    def offer(self, merchant: Merchant, **changes: Any) -> int:
        """An offer that pays 10 % of sales and 2 % to the network, unless `changes` say otherwise; gives its id."""
        content = {"merchant_id": merchant.merchant_id, "name": _fresh("Offer"), **offer_content(**changes)}
        return int(self.made("/v1/offers", content)["id"])

    def enrol(self, offer_id: int, affiliate: Affiliate) -> str:
        """Enrol the affiliate; gives its referral link once it works."""
        self.made("/v1/enrolments", {"offer_id": offer_id, "affiliate_id": affiliate.affiliate_id})
        wait_until(lambda: link_of(affiliate, offer_id) != "", SETTLE_SECONDS, "the affiliate has its link")
        self.wait_for_version(offer_id)
        return link_of(affiliate, offer_id)

    def wait_for_version(self, offer_id: int, version: int = 1) -> None:
        """Return once conversions knows the offer's version: a sale before that waits for it, as other tests show."""
        wait_until(
            lambda: self._conversions_knows(offer_version_key(offer_id, version)),
            SETTLE_SECONDS,
            f"version {version} is known where sales are judged",
        )

    def _conversions_knows(self, key: str) -> bool:
        with database_of(self.platform, "conversions") as stored:
            [(has_key, entries)] = stored.rows(
                "SELECT coalesce(bool_or(key = $1), false), count(*) FROM projection_entry", key
            )
        return bool(has_key) and value_of(self.platform, "conversions-api", "tributary_catalogue_entries") == entries


def offer_content(**changes: Any) -> dict[str, Any]:
    """The content of an offer version."""
    return {
        "landing_template": "https://shop.example/arrive?aff={affiliate_id}",
        "allowed_hosts": [],
        "window": {"min_seconds": 0, "max_seconds": MONTH_SECONDS},
        "late_hours": 24,
        "validation_days": 14,
        "terms": [percentage("10", "2")],
        **changes,
    }


def percentage(rate: str, margin: str, event: str = "sale") -> dict[str, Any]:
    """A term that pays a share of the order."""
    return {"event": event, "kind": "percentage", "rate_percent": rate, "margin_percent": margin}


def link_of(affiliate: Affiliate, offer_id: int) -> str:
    """The affiliate's link for an offer, "" where it has none."""
    links = affiliate.api.get("/v1/links", limit=200).body.get("items", [])
    return next((link["url"] for link in links if link["offer_id"] == offer_id), "")


def _is_known(merchant: Merchant) -> bool:
    return merchant.postback(order_id="probe", test="1").status == 200


def _fresh(name: str) -> str:
    return f"{name} {uuid4().hex[:8]}"
