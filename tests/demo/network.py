"""The driver's own network: fresh merchants, affiliates and offers, made over the admin API as anyone would."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from tests.demo.history import History
from tests.demo.sender import GIVE_UP_AFTER_SECONDS, Sender, api_request
from tests.demo.signing import MerchantAccount, Way, postback_request
from tests.demo.stage import Affiliate, Network, Offer

AFFILIATES: Final = 4
FIRST_POLL_SECONDS: Final = 0.05
LONGEST_POLL_SECONDS: Final = 0.5
PROBE_ORDER: Final = "probe"
"""Of the test postbacks that wait for a new credential to be known."""

MONTH_SECONDS: Final = 30 * 86_400


class SetupFailed(Exception):
    """The network could not be set up."""


@dataclass(frozen=True, slots=True)
class OfferPlan:
    """An offer to be made. merchant: index of its merchant. terms: as the API takes them."""

    merchant: int
    terms: list[dict[str, Any]]
    window: tuple[int, int] = (0, MONTH_SECONDS)
    validation_days: int = 14
    click_id_parameter: str = "click_id"
    landing: str = "https://shop.example/arrive?from=tributary&aff={affiliate_id}&sub={sub1}"


def _percentage(rate: str, margin: str) -> list[dict[str, Any]]:
    return [{"event": "sale", "kind": "percentage", "rate_percent": rate, "margin_percent": margin}]


def _flat(event: str, amount: str, margin: str, currency: str) -> list[dict[str, Any]]:
    money = {"amount": {"amount": amount, "currency": currency}, "margin": {"amount": margin, "currency": currency}}
    return [{"event": event, "kind": "flat", **money}]


PLANS: Final[Mapping[str, OfferPlan]] = {
    "shoes": OfferPlan(0, _percentage("8.25", "1.75")),
    "newsletter": OfferPlan(0, _flat("lead", "3.50", "0.70", "EUR"), click_id_parameter="tid"),
    "app": OfferPlan(
        1,
        _flat("install", "250", "40", "JPY"),
        landing="https://app.example/get?cid={click_id}",
        click_id_parameter="cid",
    ),
    "tokyo": OfferPlan(1, _percentage("2.9", "0.6")),
    "kuwait": OfferPlan(1, _percentage("12.5", "3.125")),
    "flash": OfferPlan(0, _percentage("10", "2"), window=(1, 5)),
    "instant": OfferPlan(1, _percentage("5", "1"), validation_days=0),
    "paused": OfferPlan(0, _percentage("7", "1")),
}
CURRENCIES: Final = {"tokyo": "JPY", "kuwait": "KWD", "app": "JPY"}


class NetworkBuilder:
    """Makes one network; every name carries `suffix`, so that many fit on one platform."""

    def __init__(self, sender: Sender, history: History, admin_key: str, suffix: str) -> None:
        self._sender = sender
        self._history = history
        self._admin_key = admin_key
        self._suffix = suffix

    async def build(self) -> Network:
        """Make everything, and return when clicks and postbacks know of it."""
        merchants = await asyncio.gather(*(self._merchant(f"{name} {self._suffix}") for name in ("Stride", "Orient")))
        *affiliates, stranger = await asyncio.gather(
            *(self._affiliate(f"Affiliate {number} {self._suffix}") for number in range(AFFILIATES + 1))
        )
        made = await asyncio.gather(*(self._offer(name, merchants[plan.merchant]) for name, plan in PLANS.items()))
        network = Network(merchants, affiliates, stranger, dict(zip(PLANS, made, strict=True)), self._admin_key)
        await asyncio.gather(*(self._enrol(offer, affiliate) for offer in made for affiliate in affiliates))
        await asyncio.gather(
            *(self._until_links(affiliate, {offer.offer_id for offer in made}) for affiliate in affiliates),
            *(self._until_credentials(merchant) for merchant in merchants),
        )
        await self._pause(network)
        return network

    async def finance_key(self) -> str:
        """A key of the role finance."""
        return await self._key("finance")

    async def _merchant(self, name: str) -> MerchantAccount:
        merchant_id = (await self._post("/v1/merchants", {"name": name}))["id"]
        key = await self._key("merchant", merchant_id=merchant_id)
        credentials = f"/v1/merchants/{merchant_id}/postback-credentials"
        hmac = await self._post(credentials, {"kind": "hmac"}, holds_secret=True)
        token = await self._post(credentials, {"kind": "token"}, holds_secret=True)
        return MerchantAccount(merchant_id, key, hmac["secret"], token["secret"])

    async def _affiliate(self, name: str) -> Affiliate:
        affiliate_id = (await self._post("/v1/affiliates", {"name": name}))["id"]
        return Affiliate(affiliate_id, await self._key("affiliate", affiliate_id=affiliate_id))

    async def _key(self, role: str, **tenant: int) -> str:
        content = {"role": role, "label": f"demo {self._suffix}", **tenant}
        return str((await self._post("/v1/keys", content, holds_secret=True))["key"])

    async def _offer(self, name: str, merchant: MerchantAccount) -> Offer:
        plan = PLANS[name]
        content = {
            "merchant_id": merchant.merchant_id,
            "name": f"{name} {self._suffix}",
            "landing_template": plan.landing,
            "allowed_hosts": [],
            "window": {"min_seconds": plan.window[0], "max_seconds": plan.window[1]},
            "late_hours": 24,
            "validation_days": plan.validation_days,
            "click_id_parameter": plan.click_id_parameter,
            "terms": plan.terms,
        }
        offer_id = (await self._post("/v1/offers", content))["id"]
        await self._history.declare(
            "offer",
            offer_id=offer_id,
            merchant_id=merchant.merchant_id,
            window_min_seconds=plan.window[0],
            window_max_seconds=plan.window[1],
            validation_days=plan.validation_days,
            terms=plan.terms,
        )
        term = plan.terms[0]
        return Offer(
            offer_id=offer_id,
            merchant=merchant,
            event=term["event"],
            currency=CURRENCIES.get(name, "EUR"),
            is_percentage=term["kind"] == "percentage",
            click_id_parameter=plan.click_id_parameter,
            window_max_seconds=plan.window[1],
        )

    async def _enrol(self, offer: Offer, affiliate: Affiliate) -> None:
        ids = {"offer_id": offer.offer_id, "affiliate_id": affiliate.affiliate_id}
        await self._post("/v1/enrolments", ids)
        await self._history.declare("enrolment", **ids)

    async def _pause(self, network: Network) -> None:
        offer_id, affiliate = network.offers["paused"].offer_id, network.affiliates[0]
        await self._history.declare("pause_asked", offer_id=offer_id)
        await self._post(f"/v1/offers/{offer_id}/pause", None)
        await until(lambda: self._lacks_link(affiliate, offer_id), "the paused offer's link is gone")
        await self._history.declare("pause_seen", offer_id=offer_id)

    async def _until_links(self, affiliate: Affiliate, offer_ids: set[int]) -> None:
        async def has_them() -> bool:
            return offer_ids <= await self._linked(affiliate)

        await until(has_them, f"affiliate {affiliate.affiliate_id} has its links")

    async def _lacks_link(self, affiliate: Affiliate, offer_id: int) -> bool:
        return offer_id not in await self._linked(affiliate)

    async def _linked(self, affiliate: Affiliate) -> set[int]:
        operation = await self._sender.until_answered(
            "setup_links", lambda: api_request("GET", "/v1/links?limit=200", affiliate.api_key)
        )
        return {link["offer_id"] for link in operation.attempts[-1].json().get("items", [])}

    async def _until_credentials(self, merchant: MerchantAccount) -> None:
        ways: tuple[Way, ...] = ("query_hmac", "query_token")
        for way in ways:

            async def is_known(way: Way = way) -> bool:
                probe = {"order_id": PROBE_ORDER, "test": "1"}
                operation = await self._sender.until_answered(
                    "setup_probe", lambda: postback_request(merchant, way, probe)
                )
                return operation.attempts[-1].status == 200

            await until(is_known, f"the credentials of merchant {merchant.merchant_id} are known")

    async def _post(self, target: str, content: object, *, holds_secret: bool = False) -> dict[str, Any]:
        """The answer to an admin's request, done once however often it is sent.

        holds_secret: the answer shows a secret once; so a repeat asks anew, and may leave one that nobody uses.
        """
        once = {} if holds_secret else {"Idempotency-Key": uuid4().hex}
        operation = await self._sender.until_answered(
            "setup", lambda: api_request("POST", target, self._admin_key, content, **once)
        )
        answer = operation.attempts[-1]
        if answer.status not in (200, 201, 204):
            raise SetupFailed(f"POST {target}: {answer.status} {answer.body}")
        content_of_answer: dict[str, Any] = answer.json()
        return content_of_answer


async def until(condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Poll, less and less often, until `condition` holds. Raises SetupFailed after GIVE_UP_AFTER_SECONDS."""
    give_up_at = time.monotonic() + GIVE_UP_AFTER_SECONDS
    pause = FIRST_POLL_SECONDS
    while not await condition():
        if time.monotonic() > give_up_at:
            raise SetupFailed(f"not within {GIVE_UP_AFTER_SECONDS:.0f} s: {what}")
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_POLL_SECONDS)
