"""A month of clicks, orders and refunds, a day at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final
from urllib.parse import urlencode

from tests.month.caller import Caller, MonthFailed, each, until
from tests.month.network import Merchant, Network

BATCH: Final = 100
BULK_ROWS: Final = 5_000
CATEGORIES: Final = ("shoes", "bags", "coats")
TAKEN: Final = frozenset({200, 201})


@dataclass(frozen=True, slots=True)
class Order:
    """One order that was taken."""

    merchant: Merchant
    order_id: str
    amount_minor: int


async def click(network: Network, shopper: Caller, count: int, random: Random) -> list[tuple[Merchant, str]]:
    """`count` clicks on links by turns; gives each click's merchant and its ID."""
    wanted = [random.choice(network.links) for _ in range(count)]

    async def one(link: tuple[Merchant, int]) -> tuple[Merchant, str]:
        merchant, affiliate_id = link
        query = urlencode({"format": "json", "sub1": f"page-{merchant.offer_id}"})
        answer = await shopper.get(f"/c/{merchant.offer_id}/{affiliate_id}?{query}")
        return merchant, str(answer["click_id"])

    return await each(wanted, one)


async def sell(clicks: Sequence[tuple[Merchant, str]], first_number: int, count: int, random: Random) -> list[Order]:
    """`count` orders on those clicks, in batches by merchant."""
    by_merchant: dict[int, list[tuple[Order, dict[str, Any]]]] = {}
    for number in range(first_number, first_number + count):
        merchant, click_id = random.choice(clicks)
        made = _order(merchant, click_id, number, random)
        by_merchant.setdefault(merchant.merchant_id, []).append(made)
    batches = [
        orders[start : start + BATCH] for orders in by_merchant.values() for start in range(0, len(orders), BATCH)
    ]
    await each(batches, _report)
    return [order for batch in batches for order, _ in batch]


def _order(merchant: Merchant, click_id: str, number: int, random: Random) -> tuple[Order, dict[str, Any]]:
    amount = random.randint(500, 30_000)
    first = amount // 3
    order = Order(merchant, f"O-{number:07}", amount)
    lines = [(first, random.choice(CATEGORIES)), (amount - first, random.choice(CATEGORIES))]
    return order, {
        "click_id": click_id,
        "order_id": order.order_id,
        "amount": _text(amount),
        "currency": merchant.currency,
        "tax": _text(amount // 6),
        "shipping": _text(min(490, amount // 10)),
        "customer_status": random.choice(("new", "returning")),
        "items": [{"category": category, "amount": _text(part)} for part, category in lines],
    }


async def _report(batch: list[tuple[Order, dict[str, Any]]]) -> None:
    merchant = batch[0][0].merchant
    answer = await merchant.api.post("/v1/conversions", {"conversions": [body for _, body in batch]})
    refused = [result for result in answer["results"] if result["http_status"] not in TAKEN]
    if refused:
        raise MonthFailed(f"an order was not taken: {refused[0]}")


async def refund(network: Network, orders: Sequence[Order], name: str, random: Random) -> int:
    """Take half of the orders' value back, or all of it by turns, in bulk jobs of their merchants; gives how many."""
    rows: dict[int, list[dict[str, Any]]] = {}
    for number, order in enumerate(orders):
        part = order.amount_minor if number % 3 == 0 else random.randint(1, order.amount_minor)
        rows.setdefault(order.merchant.merchant_id, []).append(
            {
                "ref": f"order:{order.order_id}",
                "action": "adjust",
                "adjustment_id": name,
                "reason_code": "customer_return",
                "refund_amount": {"amount": _text(part), "currency": order.merchant.currency},
            }
        )
    merchants = {merchant.merchant_id: merchant for merchant in network.merchants}
    jobs = [
        (merchants[merchant_id], given[start : start + BULK_ROWS])
        for merchant_id, given in rows.items()
        for start in range(0, len(given), BULK_ROWS)
    ]
    await each(jobs, _finish)
    return len(orders)


async def _finish(job: tuple[Merchant, list[dict[str, Any]]]) -> None:
    merchant, rows = job
    asked = await merchant.api.post("/v1/conversions/bulk", {"rows": rows})
    state: dict[str, Any] = {}

    async def is_finished() -> bool:
        state.update(await merchant.api.get(f"/v1/bulk-jobs/{asked['id']}"))
        return bool(state["status"] == "finished")

    await until(is_finished, "a bulk job is finished")
    if state["done"] != len(rows):
        raise MonthFailed(f"a bulk job did not do all of its rows: {state}")


def _text(minor: int) -> str:
    return f"{minor // 100}.{minor % 100:02}"
