"""The product as one story: from a link to the last cent of a statement."""

from datetime import UTC, datetime

from tests.e2e.client import click_id_in
from tests.e2e.network import SETTLE_SECONDS, Network, link_of
from tests.e2e.running_platform import RunningPlatform, wait_until

THIS_MONTH = f"{datetime.now(UTC):%Y-%m}"


def test_a_click_becomes_a_line_on_a_statement(platform: RunningPlatform) -> None:
    network = Network(platform)

    # A merchant opens an offer: 10 % of each sale to the affiliate, 2 % to the network.
    merchant = network.merchant("Stride Shoes")
    offer_id = network.offer(merchant, landing_template="https://stride.example/sale?aff={affiliate_id}")

    # An affiliate is enrolled, and fetches its link.
    affiliate = network.affiliate("Runner's Blog")
    network.enrol(offer_id, affiliate)
    link = link_of(affiliate, offer_id)

    # A shopper clicks it and is sent on to the shop, with a click ID.
    click = network.shopper.click(link, sub1="spring-review")
    assert click.status == 302
    assert click.location.startswith(f"https://stride.example/sale?aff={affiliate.affiliate_id}&click_id=")
    click_id = click_id_in(click.location)

    # The shopper buys for 100.00 EUR; the shop's server reports it, signed.
    reported = merchant.postback(click_id=click_id, order_id="A-1001", amount="100.00", currency="EUR")
    assert reported.status == 201
    assert reported.body["outcome"]["name"] == "recorded"
    assert reported.body["status"] == "pending"
    assert reported.body["receipt_id"]

    # A moment later the affiliate's statement has a pending line.
    def balance() -> tuple[str, str]:
        items = affiliate.api.get("/v1/balance").body["items"]
        euros = next((item for item in items if item["currency"] == "EUR"), None)
        return (euros["pending"]["amount"], euros["payable"]["amount"]) if euros else ("0.00", "0.00")

    wait_until(lambda: balance() == ("10.00", "0.00"), SETTLE_SECONDS, "10.00 EUR are pending")

    # The merchant approves the order: the commission is payable.
    assert merchant.api.post("/v1/conversions/order:A-1001/approve").status == 200
    wait_until(lambda: balance() == ("0.00", "10.00"), SETTLE_SECONDS, "10.00 EUR are payable")

    # The shopper sends one of four pairs back: a quarter of the commission goes with it.
    refund = merchant.postback(event="refund", order_id="A-1001", adjustment_id="R-1", amount="25.00", currency="EUR")
    assert refund.status == 201
    wait_until(lambda: balance() == ("0.00", "7.50"), SETTLE_SECONDS, "7.50 EUR are payable")

    # Finance pulls the month's statement, and every cent has its line.
    statement = network.finance.get(
        "/v1/statements", affiliate_id=affiliate.affiliate_id, period=THIS_MONTH, currency="EUR"
    ).body
    assert [(line["kind"], line["amount"]) for line in statement["lines"]] == [
        ("accrual", "10.00"),
        ("approval", "0.00"),
        ("adjustment", "-2.50"),
    ]
    assert (statement["opening"], statement["closing"]) == ("0.00", "7.50")

    # The merchant owes commission and margin for 75.00 EUR, and the books are balanced.
    charges = merchant.api.get("/v1/statements", period=THIS_MONTH, currency="EUR").body
    assert charges["closing"] == "9.00"
    totals = [row["total"]["amount"] for row in network.finance.get("/v1/trial-balance").body["items"]]
    assert not any(total.strip("0.") for total in totals)
