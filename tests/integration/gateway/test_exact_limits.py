"""T36: four gateway processes, one PostgreSQL, one limit: never more than 105 % of it, never less than 95 %."""

import asyncio
import time
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from shared.kernel.token_bucket import Limit
from tests.conftest import TestPostgres
from tests.integration.gateway.conftest import Network
from tests.integration.gateway.granted import Passed, share_of_due, worst_stretch
from tests.integration.gateway.processes import gateway_processes

LIMIT = Limit(tokens_per_second=30, burst=60)
PROCESSES = 4
OVER_MAX, DUE_MIN = 1.05, 0.95


@dataclass(slots=True)
class Caller:
    """One API key used at every process at once."""

    http: aiohttp.ClientSession
    urls: tuple[str, ...]
    key: str
    passed: list[Passed] = field(default_factory=list)
    refused: list[dict[str, str]] = field(default_factory=list)

    async def ask(self, url: str) -> None:
        """One request, noted."""
        sent_at = time.monotonic()
        async with self.http.get(f"{url}/v1/me", headers={"Authorization": f"Bearer {self.key}"}) as answer:
            headers = {name.lower(): value for name, value in answer.headers.items()}
            assert answer.status in (200, 429), await answer.text()
        assert headers["ratelimit-policy"] == '"key";q=60;w=2'
        if answer.status == 200:
            self.passed.append(Passed(sent_at, time.monotonic()))
            assert 0 <= int(headers["ratelimit"].split("r=")[1].split(";")[0]) <= LIMIT.burst
        else:
            self.refused.append(headers)

    async def burst(self, each: int) -> None:
        """`each` requests to every process at once."""
        await asyncio.gather(*(self.ask(url) for url in self.urls for _ in range(each)))

    async def hammer(self, seconds: float) -> None:
        """Ask every process all the time, at several times the limit."""
        until = time.monotonic() + seconds

        async def one(url: str) -> None:
            while time.monotonic() < until:
                await self.ask(url)
                await asyncio.sleep(0.03)

        await asyncio.gather(*(one(url) for url in self.urls for _ in range(2)))


async def test_four_processes_keep_one_limit(postgres: TestPostgres, gateway_folder: Path, network: Network) -> None:
    settings = {"LIMIT_KEY_PER_SECOND": "30", "LIMIT_KEY_BURST": "60"}
    async with (
        gateway_processes(postgres, gateway_folder, PROCESSES, **settings) as urls,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        for url in urls:  # the key is known at every door
            await Caller(http, (url,), str(network.merchant.key)).burst(1)
        await asyncio.sleep(LIMIT.window_seconds + 1)
        caller = Caller(http, tuple(urls), str(network.merchant.key))

        started = time.monotonic()
        await caller.burst(30)
        await caller.hammer(4.0)
        ended = time.monotonic()
        before_edge = len(caller.passed)
        await asyncio.sleep(LIMIT.window_seconds)
        await caller.burst(30)  # at the edge of the window: full again, and not a token more
        await caller.hammer(2.0)

    over = worst_stretch(caller.passed, LIMIT)
    due = share_of_due(caller.passed[:before_edge], LIMIT, start=started, end=ended)
    print(f"\nT36 processes={PROCESSES} passed={len(caller.passed)} refused={len(caller.refused)} "
          f"worst={over:.3f} (max {OVER_MAX}) due={due:.3f} (min {DUE_MIN})")  # fmt: skip
    assert over <= OVER_MAX
    assert due >= DUE_MIN
    assert len(caller.refused) > len(caller.passed) / 2, "the limit was not tried"
    for headers in caller.refused:
        assert headers["ratelimit"] == f'"key";r=0;t={headers["retry-after"]}'
        assert int(headers["retry-after"]) >= 1
