"""Makes the network: merchants with an offer each, affiliates with their payout settings, links, rates, keys."""

from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Any

from tests.month.caller import Caller, each, until
from tests.month.plan import CURRENCIES, Scale, extras_of, terms_of

MONTH_SECONDS = 30 * 86_400
BANK_CODE = "37040044"


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant, its key, its one offer and the currency it sells in. pays_in: of its commissions."""

    merchant_id: int
    api: Caller
    offer_id: int
    currency: str
    pays_in: str


@dataclass(frozen=True, slots=True)
class Network:
    """links: the offer's merchant and the affiliate. first, second: two of finance, so that four eyes see a run."""

    merchants: list[Merchant]
    affiliate_ids: list[int]
    links: list[tuple[Merchant, int]]
    admin: Caller
    first: Caller
    second: Caller


async def build(admin: Caller, scale: Scale, random: Random) -> Network:
    """Make everything, and return when clicks know of every link."""
    first, second = [await _key(admin, "finance") for _ in range(2)]
    merchants = await each(range(scale.merchants), lambda number: _merchant(admin, number))
    affiliate_ids = await each(range(scale.affiliates), lambda number: _affiliate(admin, number))
    pairs = [(merchant, affiliate_id) for merchant in merchants for affiliate_id in affiliate_ids]
    links = random.sample(pairs, scale.links)
    await each(links, lambda link: _enrol(admin, *link))
    settings = [(affiliate_id, CURRENCIES[n % len(CURRENCIES)], n) for n, affiliate_id in enumerate(affiliate_ids)]
    await _until_known(first, affiliate_ids[-1])
    await each(settings, lambda each_: _settings(first, *each_))
    return Network(merchants, affiliate_ids, links, admin, first, second)


async def _merchant(admin: Caller, number: int) -> Merchant:
    merchant_id = (await admin.post("/v1/merchants", {"name": f"Merchant {number:02}"}))["id"]
    currency = CURRENCIES[number % len(CURRENCIES)]
    extras = extras_of(number, currency)
    content = {
        "merchant_id": merchant_id,
        "name": f"Offer of merchant {number:02}",
        "landing_template": "https://shop.example/arrive?click={click_id}",
        "window": {"min_seconds": 0, "max_seconds": 2 * MONTH_SECONDS},
        "late_hours": 24,
        "validation_days": 14,
        "hold_days": 0,
        "terms": terms_of(number, currency),
        **extras,
    }
    offer_id = (await admin.post("/v1/offers", content))["id"]
    api = await _key(admin, "merchant", merchant_id=merchant_id)
    return Merchant(merchant_id, api, offer_id, currency, extras.get("pays_in", currency))


async def _affiliate(admin: Caller, number: int) -> int:
    return int((await admin.post("/v1/affiliates", {"name": f"Affiliate {number:03}"}))["id"])


async def _enrol(admin: Caller, merchant: Merchant, affiliate_id: int) -> None:
    await admin.post("/v1/enrolments", {"offer_id": merchant.offer_id, "affiliate_id": affiliate_id})


async def _key(admin: Caller, role: str, **tenant: int) -> Caller:
    key = (await admin.post("/v1/keys", {"role": role, "label": "month", **tenant}))["key"]
    return Caller(admin.session, admin.public_url, key)


async def record_rate(finance: Caller, day: date) -> None:
    """The day's rate, moving a little from day to day."""
    rate = f"1.{800 + 7 * day.day:04}"
    each_day = {"base": "EUR", "quote": "USD", "rate": rate, "source": "month", "as_of": day.isoformat()}
    await finance.post("/v1/exchange-rates", {"rates": [each_day]})


async def _until_known(finance: Caller, affiliate_id: int) -> None:
    async def is_known() -> bool:
        return bool((await finance.get("/v1/payout-settings", affiliate_id=affiliate_id))["affiliate_id"])

    await until(is_known, "commissions knows the affiliates")


async def _settings(finance: Caller, affiliate_id: int, currency: str, number: int) -> None:
    body: dict[str, Any] = {
        "threshold": {"amount": "20.00", "currency": currency},
        "frequency": "monthly",
        "method": "bank" if currency == "EUR" else "csv",
        "country": "DE",
        "details": {"account_holder": f"Affiliate {number:03} GmbH", "iban": iban(number)},
    }
    await finance.call("PUT", "/v1/payout-settings", body, affiliate_id=affiliate_id)


def iban(number: int) -> str:
    """A German IBAN with right check digits, of an account that nobody has been told of."""
    account = f"{number:010}"
    check = 98 - int(f"{BANK_CODE}{account}131400") % 97
    return f"DE{check:02}{BANK_CODE}{account}"
