"""A suspended party: shoppers still arrive, nothing new counts, and what was clicked before is still paid (I9, I10)."""

from collections.abc import Callable

from tests.e2e.client import click_id_in
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

SALE = {"amount": "100.00", "currency": "EUR"}


def _settles(condition: Callable[[], bool], what: str) -> None:
    wait_until(condition, SETTLE_SECONDS, what)


def test_a_suspended_affiliates_clicks_arrive_and_earn_nothing_and_earlier_ones_do(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    before = click_id_in(network.shopper.click(link).location)
    party = f"/v1/affiliates/{affiliate.affiliate_id}"

    network.made(f"{party}/suspend")

    _settles(lambda: affiliate.api.get("/v1/me").status == 401, "its keys open nothing")
    orders: list[str] = []

    def new_click_is_rejected() -> bool:
        answer = network.shopper.click(link)
        assert answer.status == 302
        orders.append(f"late-{len(orders)}")
        sale = merchant.postback(click_id=click_id_in(answer.location), order_id=orders[-1], **SALE)
        return bool(sale.status == 201 and sale.body["status"] == "rejected")

    _settles(new_click_is_rejected, "its new clicks are flagged")
    earlier = merchant.postback(click_id=before, order_id="early", **SALE)
    assert (earlier.status, earlier.body["status"]) == (201, "pending")

    network.made(f"{party}/reinstate")

    _settles(lambda: affiliate.api.get("/v1/me").status == 200, "its keys open again")
    _settles(lambda: not new_click_is_rejected(), "its new clicks count again")


def test_a_suspended_merchants_shoppers_arrive_and_its_postbacks_are_taken(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    offer_id = network.offer(merchant, fallback_url="https://fallback.example/closed")
    link = network.enrol(offer_id, affiliate)
    before = click_id_in(network.shopper.click(link).location)
    party = f"/v1/merchants/{merchant.merchant_id}"

    network.made(f"{party}/suspend")

    def arrives_at_the_fallback() -> bool:
        answer = network.shopper.click(link)
        assert answer.status == 302
        return answer.location.startswith("https://fallback.example/closed")

    _settles(arrives_at_the_fallback, "its offers count as paused")
    _settles(lambda: merchant.api.get("/v1/me").status == 401, "its keys open nothing")
    sale = merchant.postback(click_id=before, order_id="early", **SALE)
    assert (sale.status, sale.body["status"]) == (201, "pending")

    network.made(f"{party}/reinstate")

    _settles(lambda: not arrives_at_the_fallback(), "its offers are active again")
