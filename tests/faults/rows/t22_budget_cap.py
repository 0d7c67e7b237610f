"""T22: two hundred sales at once on a budget of 100.00 by the postback door, with the worker killed among them."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

from tests.e2e.client import Merchant, click_id_in
from tests.e2e.network import Network
from tests.faults.bench import Bench
from tests.faults.load import until
from tests.faults.scorecard import Measured, scorecard_row
from tests.faults.staged_platform import StagedPlatform

SALES: Final = {"P": 200, "N": 2_000}
AFFILIATES: Final = 4
AT_ONCE: Final = 50
SETTLE_SECONDS: Final = 120.0
TRIES_MAX: Final = 50
TERM: Final = {
    "event": "sale",
    "kind": "flat",
    "amount": {"amount": "0.80", "currency": "EUR"},
    "margin": {"amount": "0.20", "currency": "EUR"},
}


@scorecard_row("T22", "concurrent budget cap", tiers=("P", "N"))
async def budget_cap(bench: Bench) -> Measured:
    """Half of the sales fit. What is charged is watched while it happens, and counted once all is credited."""
    platform, sales = await bench.platform(), SALES[bench.tier]
    budget_minor = sales // 2 * 100
    network, merchant, offer_id, clicks = await asyncio.to_thread(_prepare, platform, budget_minor)
    watch = asyncio.create_task(_highest_charge(platform, offer_id))
    started = time.perf_counter()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        loop = asyncio.get_running_loop()
        sending = [
            loop.run_in_executor(pool, _report, merchant, clicks[place % len(clicks)], f"cap-{offer_id}-{place}")
            for place in range(sales)
        ]
        await asyncio.gather(*sending[: sales // 2])
        bench.say("killing the commissions worker")
        platform.kill9("commissions-worker")
        await asyncio.gather(*sending)
    await until(lambda: _credited(platform, offer_id, sales), SETTLE_SECONDS)
    seconds = time.perf_counter() - started
    watch.cancel()
    highest, looks = await watch
    found = await _totals(platform, offer_id)
    shown = (await asyncio.to_thread(network.finance.get, f"/v1/offers/{offer_id}/caps")).body["items"][0]
    rules = {
        "more was charged than the budget, at some moment": max(highest, found["charged_minor"]) > budget_minor,
        "the budget was not used to its end": found["charged_minor"] != budget_minor,
        "what was refused is not over_cap": found["over_cap"] != sales - sales // 2,
        "the ledger charged another sum": found["booked_minor"] != budget_minor,
        "the caps' page says something else": shown["remaining"]["amount"]["amount"] != "0.00",
    }
    figures = {
        "granted": found["accrued"],
        "over_cap": found["over_cap"],
        "overshoot_minor": max(0, max(highest, found["charged_minor"]) - budget_minor),
        "left_minor": budget_minor - found["charged_minor"],
        "looks": looks,
        "sales_per_s": round(sales / seconds, 1),
    }
    return Measured(sales, figures, [what for what, is_broken in rules.items() if is_broken])


def _prepare(platform: StagedPlatform, budget_minor: int) -> tuple[Network, Merchant, int, list[str]]:
    """A merchant's offer with a budget, and a click by each of some affiliates."""
    network = Network(platform)
    merchant = network.merchant()
    budget = {"amount": f"{budget_minor // 100}.00", "currency": "EUR"}
    offer_id = network.offer(
        merchant, terms=[TERM], caps=[{"name": "budget", "scope": "offer", "period": "total", "amount": budget}]
    )
    links = [network.enrol(offer_id, network.affiliate()) for _ in range(AFFILIATES)]
    return network, merchant, offer_id, [click_id_in(network.shopper.click(link).location) for link in links]


def _report(merchant: Merchant, click_id: str, order_id: str) -> None:
    """Until it is taken: the door may be at its limit, and a repetition is the same sale."""
    for _ in range(TRIES_MAX):
        answer = merchant.postback(click_id=click_id, order_id=order_id, amount="10.00", currency="EUR")
        if answer.status in (200, 201):
            return
        assert answer.status in (429, 503), answer.text
        time.sleep(0.2)
    raise AssertionError("the postback door took a sale in none of many tries")


async def _credited(platform: StagedPlatform, offer_id: int, sales: int) -> bool:
    found = await _totals(platform, offer_id)
    return bool(found["accrued"] + found["over_cap"] >= sales)


async def _totals(platform: StagedPlatform, offer_id: int) -> dict[str, Any]:
    async with platform.database("commissions") as database:
        found = await database.fetchrow(
            "SELECT count(*) FILTER (WHERE status = 'accrued') AS accrued,"
            " count(*) FILTER (WHERE status = 'over_cap') AS over_cap,"
            " coalesce(sum(commission_minor + margin_minor), 0)::bigint AS charged_minor,"
            " (SELECT coalesce(sum(amount_minor), 0)::bigint FROM ledger_entry JOIN ledger_transaction"
            "   USING (transaction_id) WHERE offer_id = $1 AND account LIKE 'merchant_receivable:%') AS booked_minor"
            " FROM commission WHERE offer_id = $1",
            offer_id,
        )
    return dict(found)


async def _highest_charge(platform: StagedPlatform, offer_id: int) -> tuple[int, int]:
    """The most that was ever charged at one moment, and how often it was looked; until it is cancelled."""
    highest = looks = 0
    try:
        async with platform.database("commissions") as database:
            while True:
                charged = await database.fetchval(
                    "SELECT coalesce(sum(commission_minor + margin_minor), 0)::bigint FROM commission"
                    " WHERE offer_id = $1",
                    offer_id,
                )
                highest, looks = max(highest, charged), looks + 1
                await asyncio.sleep(0.005)
    except asyncio.CancelledError:
        return highest, looks
