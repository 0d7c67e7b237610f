"""A real browser: the page prefetches the link, the shopper clicks it, arrives with a click ID, and it is credited."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.client import BROWSER, click_id_in
from tests.e2e.network import SETTLE_SECONDS, Network
from tests.e2e.running_platform import RunningPlatform, wait_until

CHROMIUM = Path("/usr/bin/chromium")
SPECULATION = (
    '<script type="speculationrules">{{"prefetch": [{{"source": "list", "urls": ["{0}"], "eagerness": "immediate"}}]}}'
    "</script>"
)
PREFETCH = '<link rel="prefetch" href="{0}">'


class Website:
    """A site on loopback. pages: by path; what browsers asked for, in order, with its Sec-Purpose."""

    def __init__(self) -> None:
        self.pages: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                site.asked.append((self.path, self.headers.get("Sec-Purpose", "")))
                body = site.pages.get(self.path.partition("?")[0], "<title>shop</title>Welcome").encode()
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """A test needs no access log."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def serving(self) -> Iterator["Website"]:
        """Serve until the block ends."""
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()


@pytest.fixture(scope="module")
def chromium() -> Path:
    if not CHROMIUM.exists():
        if os.environ.get("REQUIRE_BROWSER") == "1":
            raise AssertionError(f"REQUIRE_BROWSER=1, but there is no {CHROMIUM}")
        pytest.skip(f"without a browser: {CHROMIUM} is missing")
    return CHROMIUM


@pytest.mark.browser
@pytest.mark.parametrize("prefetch", [SPECULATION, PREFETCH], ids=["speculation rules", "link rel=prefetch"])
def test_a_prefetched_link_still_brings_the_shopper_and_the_credit(
    platform: RunningPlatform, chromium: Path, prefetch: str
) -> None:
    from playwright.sync_api import sync_playwright

    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    with Website().serving() as shop, Website().serving() as blog:
        offer_id = network.offer(merchant, landing_template=f"{shop.url}/arrive?click_id={{click_id}}")
        link = network.enrol(offer_id, affiliate)
        blog.pages["/"] = f'<title>blog</title>{prefetch.format(link)}<a id="link" href="{link}">These shoes</a>'
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_page(user_agent=BROWSER)  # its own says HeadlessChrome: a robot, and held as one
            prefetches_before = _prefetches(platform)
            page.goto(blog.url)
            wait_until(
                lambda: _prefetches(platform) > prefetches_before, SETTLE_SECONDS, "the browser prefetches the link"
            )

            page.click("#link")
            page.wait_for_url(f"{shop.url}/arrive?**")
            arrived_at = page.url
            browser.close()

    click_id = click_id_in(arrived_at)
    answer = merchant.postback(click_id=click_id, order_id="browser", amount="50.00", currency="EUR")
    assert (answer.status, answer.body["status"]) == (201, "pending")
    assert [purpose for _, purpose in shop.asked if purpose] == [], "nobody prefetched the shop"
    wait_until(
        lambda: [item["pending"]["amount"] for item in affiliate.api.get("/v1/balance").body["items"]] == ["5.00"],
        SETTLE_SECONDS,
        "the sale is credited",
    )


def _prefetches(platform: RunningPlatform) -> int:
    """How many prefetches were turned away so far, by the gateway's own log."""
    log = (platform.home / "logs" / "gateway-api.log").read_text(errors="replace")
    return sum('"route": "/c/' in line and '"status": 503' in line for line in log.splitlines())
