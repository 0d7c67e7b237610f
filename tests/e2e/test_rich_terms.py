"""Rich terms from the admin's request to the affiliates' balances."""

from tests.e2e.client import Merchant, click_id_in
from tests.e2e.network import SETTLE_SECONDS, Affiliate, Network, percentage
from tests.e2e.running_platform import RunningPlatform, wait_until


def _pending(affiliate: Affiliate) -> str:
    items = affiliate.api.get("/v1/balance").body["items"]
    return next((str(item["pending"]["amount"]) for item in items if item["currency"] == "EUR"), "0.00")


def _sell(network: Network, merchant: Merchant, link: str, order_id: str, **facts: str) -> None:
    click_id = click_id_in(network.shopper.click(link).location)
    reported = merchant.postback(click_id=click_id, order_id=order_id, amount="100.00", currency="EUR", **facts)
    assert reported.status == 201, reported.text


def test_overrides_groups_and_rules_pay_what_the_offer_says(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant = network.merchant()
    plain, golden, favourite = (network.affiliate(name) for name in ("Plain", "Golden", "Favourite"))
    joined = network.admin.send("PUT", f"/v1/affiliates/{golden.affiliate_id}/groups/gold")
    assert joined.status == 200
    spring = {"rank": 1, "name": "spring", "pays": {"rate_percent": "20"}}
    term = {
        **percentage("10", "2"),
        "rules": [{**spring, "conditions": [{"fact": "coupon", "holds": "in", "values": ["SPRING"]}]}],
        "overrides": [
            {"affiliate_id": favourite.affiliate_id, "pays": {"rate_percent": "30"}},
            {"group": "gold", "pays": {"rate_percent": "15"}},
        ],
    }
    offer_id = network.offer(merchant, terms=[term])
    links = {each.affiliate_id: network.enrol(offer_id, each) for each in (plain, golden, favourite)}

    for each in (plain, golden, favourite):
        _sell(network, merchant, links[each.affiliate_id], f"O-{each.affiliate_id}")
    _sell(network, merchant, links[plain.affiliate_id], "O-spring", coupon="spring")

    for affiliate, amount in ((plain, "30.00"), (golden, "15.00"), (favourite, "30.00")):
        wait_until(lambda a=affiliate, m=amount: _pending(a) == m, SETTLE_SECONDS, f"{amount} are pending")  # type: ignore[misc]
    seen = golden.api.get(f"/v1/offers/{offer_id}/versions/1").body["terms"][0]
    assert [(o["affiliate_id"], o["group"], o["pays"]["rate_percent"]) for o in seen["overrides"]] == [
        (None, "gold", "15")
    ]
