"""Redirects, postbacks and keyed calls without pause, each of them judged: for changes that nobody may notice."""

import threading
import time
from base64 import b32hexdecode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import uuid4

import httpx

from tests.e2e.client import BROWSER, TIMEOUT_SECONDS, Answer, Client, Merchant, click_id_in
from tests.e2e.network import Network
from tests.e2e.running_platform import RunningPlatform, wait_until

KEPT_BACK: Final = 3
"""One click in so many is reported only when asked for, so that old ones come in after whatever changed."""

KEPT_BACK_MAX: Final = 200
MOVES_SECONDS_MAX: Final = 60.0
THINKING_SECONDS: Final = 0.04
"""Between two requests of one thread: the platform under test shares the machine."""


class SteadyClient(Client):
    """A caller that keeps its connections open."""

    def __init__(self, public_url: str, key: str, connections: httpx.Client) -> None:
        super().__init__(public_url, key)
        self._connections = connections

    def _request(self, method: str, url: str, body: bytes | None, headers: Mapping[str, str]) -> httpx.Response:
        time.sleep(THINKING_SECONDS)
        return self._connections.request(method, url, content=body, headers=headers)


@dataclass(slots=True)
class SteadyLoad:
    """What was sent and what came of it. failures: everything a caller would have noticed.

    credited_by_key: sales taken as pending, by the number of the key that signed their click.
    """

    shopper: Client
    merchant: Merchant
    affiliate: Client
    admin: Client
    link: str
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    credited_by_key: Counter[int] = field(default_factory=Counter)
    kept_back: list[str] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def wait_for_more(self, number: int) -> None:
        """Return when so many more of every kind were answered."""
        for kind in ("redirect", "postback", "keyed"):
            wanted = self.counts[kind] + number
            wait_until(
                lambda kind=kind, wanted=wanted: self.counts[kind] >= wanted,  # type: ignore[misc]
                MOVES_SECONDS_MAX,
                f"{number} more answers to a {kind}",
            )

    def report_kept_back(self) -> None:
        """The sales of early clicks, now."""
        while self.kept_back:
            self.sell(self.kept_back.pop())

    def shop(self) -> None:
        """Click and buy until told to stop."""
        while not self.stopping.is_set():
            answer = self._send("redirect", 302, self.click)
            if answer is None:
                continue
            click_id = click_id_in(answer.location)
            if self.counts["redirect"] % KEPT_BACK == 0 and len(self.kept_back) < KEPT_BACK_MAX:
                self.kept_back.append(click_id)
            else:
                self.sell(click_id)

    def click(self) -> Answer:
        """Follow the link, not further."""
        return self.shopper.send("GET", self.link, headers={"User-Agent": BROWSER})

    def sell(self, click_id: str) -> None:
        """Report one sale of this click."""
        sale = {"click_id": click_id, "order_id": uuid4().hex, "amount": "10.00", "currency": "EUR"}
        answer = self._send("postback", 201, lambda: self.merchant.postback(**sale))
        if answer is None:
            return
        if answer.body["status"] == "pending":
            self.credited_by_key[key_of(click_id)] += 1
        else:
            self.failures.append(f"a click of key {key_of(click_id)} was refused: {answer.text[:300]}")

    def ask(self) -> None:
        """Read what a party reads, through every service, until told to stop."""
        while not self.stopping.is_set():
            for client, path in (
                (self.affiliate, "/v1/links"),
                (self.merchant.api, "/v1/conversions?limit=1"),
                (self.affiliate, "/v1/balance"),
                (self.admin, "/v1/me"),
            ):
                self._send("keyed", 200, lambda client=client, path=path: client.send("GET", path))  # type: ignore[misc]

    def _send(self, kind: str, expected: int, act: Callable[[], Answer]) -> Answer | None:
        try:
            answer = act()
        except httpx.HTTPError as fault:
            self.failures.append(f"{kind}: {type(fault).__name__}")
            return None
        self.counts[kind] += 1
        if answer.status != expected:
            self.failures.append(f"{kind}: {answer.status} {answer.text[:300]}")
            return None
        return answer


def key_of(click_id: str) -> int:
    """The number of the key that signed a click ID: its first byte."""
    return b32hexdecode(click_id.upper())[0]


@contextmanager
def steady_load(platform: RunningPlatform) -> Iterator[SteadyLoad]:
    """Two shoppers and one reader at work on a fresh network; at the end everyone has stopped."""
    network = Network(platform)
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate).removeprefix(platform.public_url)
    with httpx.Client(timeout=TIMEOUT_SECONDS, trust_env=False) as connections:

        def steady(key: str) -> SteadyClient:
            return SteadyClient(platform.public_url, key, connections)

        load = SteadyLoad(
            shopper=steady(""),
            merchant=replace(merchant, api=steady(merchant.api.key)),
            affiliate=steady(affiliate.api.key),
            admin=steady(platform.admin_key),
            link=link,
        )
        threads = [threading.Thread(target=act) for act in (load.shop, load.shop, load.ask)]
        for thread in threads:
            thread.start()
        try:
            yield load
        finally:
            load.stopping.set()
            for thread in threads:
                thread.join()
