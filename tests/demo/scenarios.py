"""Every kind of postback a network sees, each as the short story of one order."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.demo.stage import Stage, tampered


@dataclass(frozen=True, slots=True)
class Scenario:
    """play: the story. postbacks: how many it reports. share: how often it is played beyond the first time."""

    play: Callable[[Stage], Awaitable[None]]
    postbacks: int
    share: int = 1


async def attributed_sale(stage: Stage) -> None:
    """A click, an order, a commission."""
    offer = stage.network.offers["shoes"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate())))


async def sale_in_yen(stage: Stage) -> None:
    """A currency without decimals."""
    offer = stage.network.offers["tokyo"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate())))


async def sale_in_dinars(stage: Stage) -> None:
    """A currency with three decimals."""
    offer = stage.network.offers["kuwait"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate())))


async def approved_without_validation(stage: Stage) -> None:
    """No validation days: the platform approves by itself."""
    offer = stage.network.offers["instant"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate())))


async def install_from_a_server_side_click(stage: Stage) -> None:
    """The click ID comes from `format=json`, the pay is flat."""
    offer = stage.network.offers["app"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate(), way="json")))


async def lead_without_order_id_twice(stage: Stage) -> None:
    """The click is the key: the second report of it is a duplicate."""
    offer = stage.network.offers["newsletter"]
    fields = {"event": "lead", "click_id": await stage.click(offer, stage.affiliate())}
    await stage.post(offer.merchant, fields)
    await stage.post(offer.merchant, fields)


async def duplicate_with_a_fresh_signature(stage: Stage) -> None:
    """The same order again, another way in: the first answer again."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields, "query_hmac")
    await stage.post(offer.merchant, fields, "query_hmac")
    await stage.post(offer.merchant, fields, "json")


async def same_order_other_amount(stage: Stage) -> None:
    """The key is taken, the content differs: refused, the first stands."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    await stage.post(offer.merchant, fields | {"amount": stage.more_than(fields)})


async def too_early(stage: Stage) -> None:
    """An order at once after the click, where the offer wants a second."""
    offer = stage.network.offers["flash"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate())))


async def inside_the_window(stage: Stage) -> None:
    """An order when the click is two seconds old."""
    offer = stage.network.offers["flash"]
    click_id = await stage.click(offer, stage.affiliate())
    await stage.until(time.time() + 2.0)
    await stage.post(offer.merchant, stage.order(offer, click_id))


async def too_late(stage: Stage) -> None:
    """An order when the click is more than a second past the window."""
    offer = stage.network.offers["flash"]
    click_id = await stage.click(offer, stage.affiliate())
    await stage.until(time.time() + offer.window_max_seconds + 1.2)
    await stage.post(offer.merchant, stage.order(offer, click_id))


async def forged_and_truncated_click_ids(stage: Stage) -> None:
    """Click IDs that do not prove themselves are refused and claim nothing: the right one is recorded afterwards."""
    offer = stage.network.offers["shoes"]
    click_id = await stage.click(offer, stage.affiliate())
    fields = stage.order(offer, click_id)
    await stage.post(offer.merchant, fields | {"click_id": tampered(click_id)})
    await stage.post(offer.merchant, fields | {"click_id": click_id[:-1]})
    await stage.post(offer.merchant, fields)


async def click_of_another_merchants_offer(stage: Stage) -> None:
    """Nobody is credited for another merchant's order."""
    offer = stage.network.offers["shoes"]
    other = stage.network.another_merchant(offer.merchant)
    await stage.post(other, stage.order(offer, await stage.click(offer, stage.affiliate())))


async def click_id_in_capitals(stage: Stage) -> None:
    """Someone's system shouts: it is the same click, and never a second credit."""
    offer = stage.network.offers["shoes"]
    click_id = await stage.click(offer, stage.affiliate())
    await stage.post(offer.merchant, stage.order(offer, click_id.upper()))


async def without_click_id(stage: Stage) -> None:
    """An order nobody caused is recorded and credits nobody."""
    offer = stage.network.offers["shoes"]
    await stage.post(offer.merchant, stage.order(offer))


async def click_id_comes_later(stage: Stage) -> None:
    """The repeat of an unattributed order adds its click: the next version, credited."""
    offer = stage.network.offers["shoes"]
    click_id = await stage.click(offer, stage.affiliate())
    fields = stage.order(offer)
    await stage.post(offer.merchant, fields)
    await stage.post(offer.merchant, fields | {"click_id": click_id})


async def neither_order_nor_click(stage: Stage) -> None:
    """Nothing to know it by: refused."""
    offer = stage.network.offers["shoes"]
    await stage.post(offer.merchant, {"amount": "10.00", "currency": "EUR"})


async def two_partial_refunds(stage: Stage) -> None:
    """Each refund once, a repeat of one changes nothing, other content under its name is refused."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    first = _refund(fields, "r1", stage.part_of(fields, 0.3))
    await stage.post(offer.merchant, first)
    await stage.post(offer.merchant, _refund(fields, "r2", stage.part_of(fields, 0.25)))
    await stage.post(offer.merchant, first)
    await stage.post(offer.merchant, first | {"amount": stage.part_of(fields, 0.31)})


async def refund_after_approval(stage: Stage) -> None:
    """What was approved is taken back in part: the payable balance falls."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    await stage.act(offer.merchant, fields["order_id"], "approve")
    await stage.post(offer.merchant, _refund(fields, "r1", stage.part_of(fields, 0.4)))


async def refund_of_everything(stage: Stage) -> None:
    """A refund without an amount takes back all that is left."""
    offer = stage.network.offers["tokyo"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    await stage.post(offer.merchant, _refund(fields, "r1", stage.part_of(fields, 0.5)))
    await stage.post(offer.merchant, {"order_id": fields["order_id"], "adjustment_id": "r2"})


async def refund_of_too_much(stage: Stage) -> None:
    """More than the order was: refused, naming the amount."""
    offer = stage.network.offers["kuwait"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    await stage.post(offer.merchant, _refund(fields, "r1", stage.more_than(fields)))


async def adjusted_over_the_api(stage: Stage) -> None:
    """The merchant takes a part back over the API."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    await stage.act(
        offer.merchant,
        fields["order_id"],
        "adjust",
        refund_amount={"amount": stage.part_of(fields, 0.2), "currency": fields["currency"]},
        adjustment_id="a1",
        reason_code="customer_return",
    )


async def reversed_by_the_merchant(stage: Stage) -> None:
    """An approved install turns out to be fraud."""
    offer = stage.network.offers["app"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    await stage.act(offer.merchant, fields["order_id"], "approve")
    await stage.act(offer.merchant, fields["order_id"], "reverse", reason_code="fraud")


async def rejected_by_the_merchant(stage: Stage) -> None:
    """A pending order that the merchant does not accept."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields)
    await stage.act(offer.merchant, fields["order_id"], "reject", reason_code="order_cancelled")


async def robots_click(stage: Stage) -> None:
    """Held with the reason, for a person to decide."""
    offer = stage.network.offers["shoes"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate(), agent="robot")))


async def strangers_click(stage: Stage) -> None:
    """An affiliate that is not enrolled: recorded, rejected."""
    offer = stage.network.offers["shoes"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.network.stranger)))


async def paused_offers_click(stage: Stage) -> None:
    """The shopper arrives, the click cannot count."""
    offer = stage.network.offers["paused"]
    await stage.post(offer.merchant, stage.order(offer, await stage.click(offer, stage.affiliate())))


async def event_not_of_the_offer(stage: Stage) -> None:
    """The offer pays for sales; a lead is recorded and rejected."""
    offer = stage.network.offers["shoes"]
    fields = {"event": "lead", "click_id": await stage.click(offer, stage.affiliate()), "order_id": stage.order_id()}
    await stage.post(offer.merchant, fields)


async def test_postback(stage: Stage) -> None:
    """A merchant tries its integration out: nothing is recorded, and the order may come for real."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    await stage.post(offer.merchant, fields | {"test": "1"})
    await stage.post(offer.merchant, fields)


async def impostors(stage: Stage) -> None:
    """Whoever has not the merchant's secret is not the merchant."""
    offer = stage.network.offers["shoes"]
    fields = stage.order(offer, await stage.click(offer, stage.affiliate()))
    for way in ("query_hmac", "query_token", "form", "json", "api"):
        await stage.post_wrongly(offer.merchant, fields, way)


async def batch(stage: Stage) -> None:
    """A batch is judged one by one."""
    offer = stage.network.offers["shoes"]
    orders = [stage.order(offer, await stage.click(offer, stage.affiliate())) for _ in range(4)]
    orders.append(stage.order(offer))
    await stage.post_batch(offer.merchant, orders)
    await stage.post_batch(offer.merchant, [orders[0], orders[1] | {"amount": stage.more_than(orders[1])}])


def _refund(fields: dict[str, str], adjustment_id: str, amount: str) -> dict[str, str]:
    return {
        "event": "refund",
        "order_id": fields["order_id"],
        "adjustment_id": adjustment_id,
        "amount": amount,
        "currency": fields["currency"],
    }


SCENARIOS = (
    Scenario(attributed_sale, postbacks=1, share=24),
    Scenario(sale_in_yen, postbacks=1, share=6),
    Scenario(sale_in_dinars, postbacks=1, share=6),
    Scenario(approved_without_validation, postbacks=1, share=6),
    Scenario(install_from_a_server_side_click, postbacks=1, share=4),
    Scenario(lead_without_order_id_twice, postbacks=2, share=4),
    Scenario(duplicate_with_a_fresh_signature, postbacks=3, share=2),
    Scenario(same_order_other_amount, postbacks=2, share=2),
    Scenario(too_early, postbacks=1, share=2),
    Scenario(inside_the_window, postbacks=1, share=2),
    Scenario(too_late, postbacks=1, share=2),
    Scenario(forged_and_truncated_click_ids, postbacks=3),
    Scenario(click_of_another_merchants_offer, postbacks=1),
    Scenario(click_id_in_capitals, postbacks=1),
    Scenario(without_click_id, postbacks=1, share=2),
    Scenario(click_id_comes_later, postbacks=2),
    Scenario(neither_order_nor_click, postbacks=1),
    Scenario(two_partial_refunds, postbacks=5, share=2),
    Scenario(refund_after_approval, postbacks=2, share=2),
    Scenario(refund_of_everything, postbacks=3),
    Scenario(refund_of_too_much, postbacks=2),
    Scenario(adjusted_over_the_api, postbacks=1),
    Scenario(reversed_by_the_merchant, postbacks=1),
    Scenario(rejected_by_the_merchant, postbacks=1),
    Scenario(robots_click, postbacks=1, share=2),
    Scenario(strangers_click, postbacks=1),
    Scenario(paused_offers_click, postbacks=1),
    Scenario(event_not_of_the_offer, postbacks=1),
    Scenario(test_postback, postbacks=2),
    Scenario(impostors, postbacks=5),
    Scenario(batch, postbacks=7),
)
