"""One trace id is in the logs of all four services for one click-to-credit."""

import hashlib
import json
from typing import Any

from tests.e2e.client import click_id_in
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

SERVICES = {"gateway", "clicks", "conversions", "commissions"}


def test_one_trace_id_follows_a_click_to_its_credit_through_all_four_services(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    order = {"amount": "100.00", "currency": "EUR"}

    click_id = click_id_in(network.shopper.click(link).location)
    other_click_id = click_id_in(network.shopper.click(link).location)
    reported = merchant.postback(click_id=click_id, order_id="traced", **order)
    other = merchant.postback(click_id=other_click_id, order_id="other", **order)

    assert (reported.status, other.status) == (201, 201)
    trace_id = _trace_id(click_id)
    wait_until(lambda: _services(platform, trace_id) == SERVICES, SETTLE_SECONDS, "all four services tell of the trace")
    lines = _lines(platform, trace_id)
    by_event = {line["event"]: line for line in lines if line["event"] != "http_request"}
    routes = {line["route"]: line for line in lines if line["event"] == "http_request"}
    assert {line["service"] for line in lines if line["event"] == "http_request"} == {"gateway"}
    assert routes["/c/{offer_id}/{affiliate_id}"]["status"] == 302
    assert routes["/postback"]["status"] == 201
    assert by_event["click_answered"]["recorded"] == "durable"
    assert by_event["commission_posted"]["conversion_id"] == reported.body["conversion_id"]

    # The postback's own id stays, and leads from the merchant's answer to the receipt and to both services' lines.
    receipt = merchant.api.get(f"/v1/receipts/{reported.body['receipt_id']}").body
    assert routes["/postback"]["request_id"] == reported.headers["x-request-id"]
    assert routes["/postback"]["service_request_id"] == receipt["request_id"]
    assert by_event["postback_answered"]["request_id"] == receipt["request_id"]

    # Another click is another trace, and a trace id leads nowhere: no log has a click ID.
    assert _trace_id(other_click_id) != trace_id
    wait_until(lambda: _services(platform, _trace_id(other_click_id)) == SERVICES, SETTLE_SECONDS, "so is the other")
    assert all(line.get("conversion_id") != other.body["conversion_id"] for line in lines)
    assert not any(click_id in text for text in _texts(platform))


def test_a_refused_postback_is_logged_under_the_trace_of_its_click(platform: RunningPlatform) -> None:
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    click_id = click_id_in(network.shopper.click(network.enrol(network.offer(merchant), affiliate)).location)
    assert merchant.postback(click_id=click_id, order_id="r-1", amount="10.00", currency="EUR").status == 201

    conflict = merchant.postback(click_id=click_id, order_id="r-1", amount="11.00", currency="EUR")

    assert conflict.status == 409
    wait_until(
        lambda: any(
            line["event"] == "http_request" and line["status"] == 409 for line in _lines(platform, _trace_id(click_id))
        ),
        SETTLE_SECONDS,
        "the gateway's line of the refusal names the trace",
    )


def test_what_comes_from_outside_is_nobodys_trace(platform: RunningPlatform) -> None:
    network, forged = Network(platform), "f" * 32
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    outside = {
        "traceparent": f"00-{forged}-{'e' * 16}-01",
        "X-Request-Id": forged,
        "Tributary-Trace": forged,
        "Tributary-Internal-Span": "1",
    }

    answer = network.shopper.send("GET", link.removeprefix(platform.public_url), headers=outside)

    trace_id = _trace_id(click_id_in(answer.location))
    wait_until(lambda: {"gateway", "clicks"} <= _services(platform, trace_id), SETTLE_SECONDS, "its own trace is told")
    assert not any(forged in text for text in _texts(platform))
    assert "tributary-trace" not in answer.headers


def _trace_id(click_id: str) -> str:
    """What the documentation says, not what the code does."""
    return hashlib.sha256(click_id.encode()).hexdigest()[:32]


def _services(platform: RunningPlatform, trace_id: str) -> set[str]:
    return {line["service"] for line in _lines(platform, trace_id)}


def _lines(platform: RunningPlatform, trace_id: str) -> list[dict[str, Any]]:
    found = (line for text in _texts(platform) for line in text.splitlines() if trace_id in line)
    return [entry for line in found if (entry := json.loads(line))["trace_id"] == trace_id]


def _texts(platform: RunningPlatform) -> list[str]:
    return [path.read_text(errors="replace") for path in sorted((platform.home / "logs").glob("*.log*"))]
