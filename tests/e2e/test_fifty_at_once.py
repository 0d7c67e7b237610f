"""The same postback fifty times from fifty connections at once: one conversion, one credit (I2)."""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

from tests.e2e.client import Answer, Client, click_id_in
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

CONNECTIONS = 50


def test_the_same_postback_fifty_times_at_once_is_one_conversion_and_one_credit(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    click_id = click_id_in(network.shopper.click(link).location)
    fields = {"click_id": click_id, "order_id": "once", "amount": "80.00", "currency": "EUR"}
    together = threading.Barrier(CONNECTIONS)
    now = int(time.time())

    def report(number: int) -> Answer:
        path = merchant.signed_path(fields, now - number)
        client = Client(platform.public_url)
        together.wait()
        return client.send("GET", path)

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(report, range(CONNECTIONS)))

    assert Counter(answer.status for answer in answers) == {201: 1, 200: CONNECTIONS - 1}
    assert len({answer.body["conversion_id"] for answer in answers}) == 1
    assert all(answer.body["duplicate"] for answer in answers if answer.status == 200)
    conversions = merchant.api.get("/v1/conversions").body["items"]
    assert [conversion["order_id"] for conversion in conversions] == ["once"]
    wait_until(
        lambda: len(affiliate.api.get("/v1/commissions").body["items"]) == 1, SETTLE_SECONDS, "there is a commission"
    )
    (euros,) = affiliate.api.get("/v1/balance").body["items"]
    assert euros["pending"] == {"amount": "8.00", "currency": "EUR"}
