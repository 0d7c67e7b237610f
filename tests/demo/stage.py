"""The stage on which scenarios play: shoppers who click, merchants who report, and a clock to schedule by."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal
from urllib.parse import parse_qsl, urlencode, urlsplit

from tests.demo.amounts import DECIMALS, text_of
from tests.demo.history import Operation
from tests.demo.sender import NoAnswer, Request, Sender, api_request
from tests.demo.signing import WAYS, MerchantAccount, Way, postback_request
from tests.demo.user_agents import UserAgents

Agent = Literal["person", "robot"]
ClickWay = Literal["get", "head", "prefetch", "json"]

ORDER_MINOR: Final = {"EUR": (499, 40_000), "JPY": (500, 90_000), "KWD": (1_001, 250_000)}
SOURCES: Final = ("newsletter", "blog", "video", "app")


@dataclass(frozen=True, slots=True)
class Affiliate:
    """An affiliate and its own key."""

    affiliate_id: int
    api_key: str


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer as its affiliates know it. event: what it pays for. currency: of its orders or its flat pay."""

    offer_id: int
    merchant: MerchantAccount
    event: str
    currency: str
    is_percentage: bool
    click_id_parameter: str
    window_max_seconds: int


@dataclass(frozen=True, slots=True)
class Network:
    """What the driver set up. stranger: an affiliate enrolled nowhere."""

    merchants: Sequence[MerchantAccount]
    affiliates: Sequence[Affiliate]
    stranger: Affiliate
    offers: Mapping[str, Offer]
    admin_key: str

    def another_merchant(self, merchant: MerchantAccount) -> MerchantAccount:
        """Any but `merchant`."""
        return next(other for other in self.merchants if other != merchant)


@dataclass(slots=True)
class Stage:
    """clicks_done, postbacks_done: for the progress bar."""

    network: Network
    sender: Sender
    agents: UserAgents
    random: Random
    suffix: str
    clicks_done: int = 0
    postbacks_done: int = 0
    _orders: int = field(default=0)

    def affiliate(self) -> Affiliate:
        """One of the enrolled affiliates."""
        return self.random.choice(self.network.affiliates)

    def way(self) -> Way:
        """One of the ways in for a single postback."""
        return self.random.choice(WAYS)

    def order_id(self) -> str:
        """An order number nobody has used."""
        self._orders += 1
        return f"{self.suffix}-{self._orders:05d}"

    def amount(self, currency: str) -> str:
        """What a basket costs."""
        return text_of(self.random.randint(*ORDER_MINOR[currency]), currency)

    def order(self, offer: Offer, click_id: str | None = None) -> dict[str, str]:
        """The fields of a new order of `offer`."""
        fields = {"order_id": self.order_id()}
        if offer.event != "sale":
            fields["event"] = offer.event
        if click_id:
            fields["click_id"] = click_id
        if offer.is_percentage:
            fields |= {"amount": self.amount(offer.currency), "currency": offer.currency}
        return fields

    def part_of(self, fields: Mapping[str, str], share: float) -> str:
        """A part of an order's amount, in its currency's decimals."""
        digits = fields["amount"].replace(".", "")
        return text_of(max(1, int(int(digits) * share)), fields["currency"])

    def more_than(self, fields: Mapping[str, str]) -> str:
        """One minor unit more than an order's amount."""
        return text_of(int(fields["amount"].replace(".", "")) + 1, fields["currency"])

    async def click(self, offer: Offer, affiliate: Affiliate, *, agent: Agent = "person", way: ClickWay = "get") -> str:
        """Click until the platform answers; gives the click ID of a `get` or `json` click, else ""."""
        give_up_at = time.monotonic() + self.sender.patience_seconds
        while time.monotonic() < give_up_at:
            operation = await self._click_once(offer, affiliate, agent, way)
            attempt = operation.attempts[-1]
            if attempt.is_answered or (way == "prefetch" and attempt.status == 503):
                self.clicks_done += 1
                landing = attempt.location if way != "json" else attempt.json().get("landing_url")
                return dict(parse_qsl(urlsplit(landing or "").query)).get(offer.click_id_parameter, "")
            await asyncio.sleep(self.random.uniform(0.1, 0.5))
        raise NoAnswer(f"click on offer {offer.offer_id}: no answer for {self.sender.patience_seconds:.0f} s")

    async def _click_once(self, offer: Offer, affiliate: Affiliate, agent: Agent, way: ClickWay) -> Operation:
        query = {"sub1": self.random.choice(SOURCES), "aff_click_id": f"{self.random.getrandbits(64):x}"}
        if way == "json":
            query["format"] = "json"
        chosen = self.random.choice(self.agents.people if agent == "person" else self.agents.robots)
        headers = {"User-Agent": chosen}
        if way == "prefetch":
            headers["Sec-Purpose"] = "prefetch"
        target = f"/c/{offer.offer_id}/{affiliate.affiliate_id}?{urlencode(query)}"
        return await self.sender.once(
            f"click_{way}",
            Request("HEAD" if way == "head" else "GET", target, headers),
            offer_id=offer.offer_id,
            affiliate_id=affiliate.affiliate_id,
            agent=agent,
            sub1=query["sub1"],
            click_id_parameter=offer.click_id_parameter,
        )

    async def post(self, merchant: MerchantAccount, fields: Mapping[str, str], way: Way | None = None) -> Operation:
        """Report `fields`, by any way or by `way`, until the platform says what became of it."""
        chosen = way or self.way()
        operation = await self.sender.until_answered(
            f"postback_{chosen}",
            lambda: postback_request(merchant, chosen, fields),
            merchant_id=merchant.merchant_id,
            postbacks=[dict(fields)],
        )
        self.postbacks_done += 1
        return operation

    async def post_wrongly(self, merchant: MerchantAccount, fields: Mapping[str, str], way: Way) -> Operation:
        """Report `fields` with credentials that are not the merchant's."""
        impostor = MerchantAccount(merchant.merchant_id, "trb_merchant_00000000_" + "0" * 32, "0" * 64, "0" * 40)
        operation = await self.sender.until_answered(
            f"postback_{way}",
            lambda: postback_request(impostor, way, fields),
            merchant_id=merchant.merchant_id,
            postbacks=[dict(fields)],
            expect="unauthenticated",
        )
        self.postbacks_done += 1
        return operation

    async def post_batch(self, merchant: MerchantAccount, batch: Sequence[Mapping[str, str]]) -> Operation:
        """Report several at once, with the merchant's API key."""
        content = {"conversions": [dict(fields) for fields in batch]}
        operation = await self.sender.until_answered(
            "postback_api_batch",
            lambda: api_request("POST", "/v1/conversions", merchant.api_key, content),
            merchant_id=merchant.merchant_id,
            postbacks=content["conversions"],
        )
        self.postbacks_done += len(batch)
        return operation

    async def act(self, merchant: MerchantAccount, order_id: str, act: str, **content: Any) -> Operation:
        """The merchant approves, reverses, rejects or adjusts one of its orders over the API."""
        key = f"{act}-{order_id}-{content.get('adjustment_id', '')}"
        amount = (content.get("refund_amount") or {}).get("amount")
        return await self.sender.until_answered(
            f"merchant_{act}",
            lambda: api_request(
                "POST",
                f"/v1/conversions/order:{order_id}/{act}",
                merchant.api_key,
                content,
                **{"Idempotency-Key": key},
            ),
            merchant_id=merchant.merchant_id,
            order_id=order_id,
            amount=amount,
        )

    async def until(self, instant: float) -> None:
        """Return at a Unix time: for clicks that have to grow old."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(max(0.0, instant - time.time()), _reach, reached)
        await reached


def _reach(reached: asyncio.Future[None]) -> None:
    if not reached.done():
        reached.set_result(None)


def tampered(click_id: str) -> str:
    """`click_id` with one character changed, still well-formed."""
    place = len(click_id) // 2
    other = "0" if click_id[place] != "0" else "1"
    return click_id[:place] + other + click_id[place + 1 :]


assert set(ORDER_MINOR) == set(DECIMALS)
