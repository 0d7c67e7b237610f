"""With the extra `tracing`, a click-to-credit is one OpenTelemetry trace over all four services."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.client import BROWSER, click_id_in
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.otlp_receiver import Collector, Span, collecting
from tests.e2e.running_platform import RunningPlatform, wait_until

REDIRECT, POSTBACK = "GET /c/{offer_id}/{affiliate_id}", "GET /postback"
PARENTS = {
    ("gateway", REDIRECT): None,
    ("clicks", "redirect"): ("gateway", REDIRECT),
    ("gateway", POSTBACK): ("clicks", "redirect"),
    ("conversions", "postback"): ("gateway", POSTBACK),
    ("conversions", "attribution"): ("conversions", "postback"),
    ("commissions", "credit"): ("conversions", "attribution"),
}


@pytest.fixture
def traced() -> Iterator[tuple[RunningPlatform, Collector]]:
    home = Path(tempfile.mkdtemp(prefix="tributary-spans-"))
    home.chmod(0o711)
    with collecting() as collector:
        extra = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        platform = RunningPlatform(home, "embedded", extra)
        try:
            platform.start()
            yield platform, collector
        finally:
            platform.stop()
            shutil.rmtree(home, ignore_errors=True)


@pytest.mark.timeout(300)
def test_one_trace_has_spans_of_all_four_services_each_under_what_caused_it(
    traced: tuple[RunningPlatform, Collector],
) -> None:
    platform, collector = traced
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    personal = "jo@example.org"

    click_id = click_id_in(network.shopper.click(link, sub1=personal).location)
    reported = merchant.postback(
        click_id=click_id, order_id="spanned", amount="100.00", currency="EUR", customer_id=personal
    )
    assert reported.status == 201
    trace_id = hashlib.sha256(click_id.encode()).hexdigest()[:32]

    def spans() -> dict[tuple[str, str], Span]:
        return {(span.service, span.name): span for span in collector.of_trace(trace_id)}

    wait_until(
        lambda: set(spans()) >= set(PARENTS),
        SETTLE_SECONDS,
        "all spans have come",
        last_words=lambda: f"missing: {set(PARENTS) - set(spans())}",
    )
    found = spans()
    parents = {span.span_id: key for key, span in found.items()}
    assert {key: parents.get(found[key].parent_id) for key in PARENTS} == PARENTS
    assert found["gateway", REDIRECT].parent_id == ""
    assert all(span.parent_id in parents for key, span in found.items() if PARENTS.get(key, True) is not None)
    times = [found[key].started_at for key in PARENTS]
    assert times == sorted(times)
    assert all(span.seconds >= 0 for span in found.values())
    receipt_id = found["conversions", "postback"].attributes["tributary.receipt_id"]
    assert receipt_id == reported.body["receipt_id"]

    # Batches mix traces: their spans are elsewhere, and linked.
    (batch,) = found["commissions", "credit"].links
    consumed = next(span for span in collector.spans if (span.trace_id, span.span_id) == batch)
    assert consumed.name == "consume commissions.conversions"
    assert (trace_id, found["conversions", "attribution"].span_id) in consumed.links
    wait_until(
        lambda: {"publish clicks", "publish conversions", "publish commissions"} <= _linked(collector, trace_id),
        SETTLE_SECONDS,
        "what was published is linked to the trace",
    )

    # Nothing personal, no click ID, no secret.
    sent = b"".join(collector.bodies)
    for value in (personal, click_id, merchant.secret, merchant.token, merchant.api.key, platform.admin_key, BROWSER):
        assert value.encode() not in sent


def _linked(collector: Collector, trace_id: str) -> set[str]:
    return {span.name for span in list(collector.spans) if any(trace == trace_id for trace, _ in span.links)}
