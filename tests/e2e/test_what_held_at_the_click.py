"""I10: what held at the click holds. Pause, end and new terms come too late for a click that was made before."""

import pytest

from tests.e2e.client import Merchant, click_id_in
from tests.e2e.network import SETTLE_SECONDS, Affiliate, Network, link_of, offer_content, percentage
from tests.e2e.running_platform import RunningPlatform, wait_until


@pytest.fixture
def network(platform: RunningPlatform) -> Network:
    return Network(platform)


def _balance(affiliate: Affiliate) -> str:
    items = affiliate.api.get("/v1/balance").body["items"]
    return str(items[0]["pending"]["amount"]) if items else "0.00"


def _report(merchant: Merchant, click_id: str, order_id: str) -> tuple[int, str, str]:
    answer = merchant.postback(click_id=click_id, order_id=order_id, amount="100.00", currency="EUR")
    return answer.status, answer.body["status"], answer.body["outcome"]["name"]


def test_offer_paused_after_the_click_still_credits_it_and_no_later_one(network: Network) -> None:
    merchant, affiliate = network.merchant(), network.affiliate()
    offer_id = network.offer(merchant)
    link = network.enrol(offer_id, affiliate)
    before = click_id_in(network.shopper.click(link).location)

    network.admin.post(f"/v1/offers/{offer_id}/pause")
    wait_until(lambda: not link_of(affiliate, offer_id), SETTLE_SECONDS, "the pause is known where clicks are")
    after = click_id_in(network.shopper.click(link).location)

    assert _report(merchant, before, "before") == (201, "pending", "recorded")
    assert _report(merchant, after, "after") == (201, "rejected", "offer_inactive")
    wait_until(lambda: _balance(affiliate) == "10.00", SETTLE_SECONDS, "the click before the pause is credited")


def test_enrolment_ended_after_the_click_still_credits_it_and_no_later_one(network: Network) -> None:
    merchant, affiliate = network.merchant(), network.affiliate()
    offer_id = network.offer(merchant)
    link = network.enrol(offer_id, affiliate)
    before = click_id_in(network.shopper.click(link).location)
    (enrolment,) = network.admin.get("/v1/enrolments", offer_id=offer_id).body["items"]

    ended = network.admin.post(f"/v1/enrolments/{enrolment['id']}/end")
    assert ended.status == 200
    wait_until(lambda: not link_of(affiliate, offer_id), SETTLE_SECONDS, "the end is known where clicks are")
    after = click_id_in(network.shopper.click(link).location)

    assert _report(merchant, before, "before") == (201, "pending", "recorded")
    assert _report(merchant, after, "after") == (201, "rejected", "not_enrolled")
    wait_until(lambda: _balance(affiliate) == "10.00", SETTLE_SECONDS, "the click before the end is credited")


def test_terms_changed_after_the_click_do_not_reach_it(network: Network) -> None:
    merchant, affiliate = network.merchant(), network.affiliate()
    offer_id = network.offer(merchant)
    link = network.enrol(offer_id, affiliate)
    before = click_id_in(network.shopper.click(link).location)

    network.made(f"/v1/offers/{offer_id}/versions", offer_content(terms=[percentage("1", "0.5")]))
    wait_until(
        lambda: _version_of_link(affiliate, offer_id) == 2, SETTLE_SECONDS, "version 2 is known where clicks are"
    )
    network.wait_for_version(offer_id, 2)
    after = click_id_in(network.shopper.click(link).location)

    assert _report(merchant, before, "before") == (201, "pending", "recorded")
    assert _report(merchant, after, "after") == (201, "pending", "recorded")
    wait_until(lambda: _balance(affiliate) == "11.00", SETTLE_SECONDS, "10 % of one order and 1 % of the other")


def _version_of_link(affiliate: Affiliate, offer_id: int) -> int:
    items = affiliate.api.get("/v1/links", offer_id=offer_id).body["items"]
    return int(items[0]["offer_version"]) if items else 0
