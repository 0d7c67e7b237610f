"""T35: a merchant at ten times its limit is refused, and the others do not notice."""

import asyncio
import json
import math
import statistics
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from services.conversions.api.postback_door import PostbackDoor
from shared.kernel.token_bucket import Limit
from tests.conftest import TestPostgres
from tests.factories.conversions import MERCHANT, OTHER_MERCHANT, TOKEN, ConversionsService, running_conversions

LIMIT = Limit(tokens_per_second=40, burst=100)
TIMES_OVER = 10
ROUNDS, SAMPLES, ATTEMPTS = 10, 20, 4
SLOWER_MAX = 1.5


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def conversions(
    postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ConversionsService]:
    """The service with a limit that a test can reach."""
    folder: Path = tmp_path_factory.mktemp("conversions")
    settings = {
        "limit_merchant_per_second": LIMIT.tokens_per_second,
        "limit_merchant_burst": LIMIT.burst,
    }
    async with running_conversions(postgres.migrate("conversions"), folder, **settings) as service:
        yield service


async def send(service: ConversionsService, merchant_id: int, token: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """One postback straight to the door: a client's own work must not be measured."""
    query = f"merchant_id={merchant_id}&order_id={service.order()}&amount=10.00&currency=EUR&token={token}"
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def answer(message: Any) -> None:
        said.append(message)

    scope = {"type": "http", "method": "GET", "path": "/postback", "query_string": query.encode(), "headers": []}
    await PostbackDoor(service.api.desk)(scope, receive, answer)
    headers = {name.decode(): value.decode() for name, value in said[0]["headers"]}
    return said[0]["status"], headers, json.loads(said[1]["body"])


async def quiet_latencies(service: ConversionsService) -> list[float]:
    """What the quiet merchant waits for each of its postbacks, in seconds."""
    waits = []
    for _ in range(SAMPLES):
        started = time.perf_counter()
        status, _, _ = await send(service, OTHER_MERCHANT, "tok_other")
        waits.append(time.perf_counter() - started)
        assert status == 201
        await asyncio.sleep(1 / LIMIT.tokens_per_second)  # within its own limit
    return waits


async def make_noise(service: ConversionsService, times_its_limit: int, statuses: list[int]) -> None:
    """Postbacks of the noisy merchant, one at a steady pace whether it is answered or not, until cancelled."""
    under_way: set[asyncio.Task[None]] = set()

    async def one() -> None:
        statuses.append((await send(service, MERCHANT, TOKEN))[0])

    started, sent = time.monotonic(), 0
    while True:
        await asyncio.sleep(0.01)
        due = int((time.monotonic() - started) * times_its_limit * LIMIT.tokens_per_second)
        for _ in range(min(due - sent, 2 * LIMIT.burst)):
            task = asyncio.create_task(one())
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        sent = due


async def p99_ratio(service: ConversionsService, statuses: list[int]) -> float:
    """How much longer the quiet merchant waits when the other is at ten times its limit instead of at its limit."""
    waits: dict[int, list[float]] = {1: [], TIMES_OVER: []}
    for _ in range(ROUNDS):
        for times, mine in waits.items():
            noise = asyncio.create_task(make_noise(service, times, statuses))
            mine += await quiet_latencies(service)
            noise.cancel()
            await asyncio.gather(noise, return_exceptions=True)
    p99_calm, p99_loud = (statistics.quantiles(each, n=100)[98] for each in waits.values())
    return p99_loud / p99_calm


async def test_a_noisy_merchant_does_not_slow_the_others(conversions: ConversionsService) -> None:
    await asyncio.gather(*(send(conversions, MERCHANT, TOKEN) for _ in range(LIMIT.burst)))
    statuses: list[int] = []
    started, ratios = time.monotonic(), [math.inf]
    while min(ratios) >= SLOWER_MAX and len(ratios) <= ATTEMPTS:  # a busy machine slows the one or the other by itself
        ratios.append(await p99_ratio(conversions, statuses))
    due = LIMIT.burst + LIMIT.tokens_per_second * (time.monotonic() - started)

    print(f"\nT35 noisy={len(statuses)} refused={statuses.count(429)} p99 ratio={min(ratios):.2f} (max {SLOWER_MAX})")
    assert statuses.count(201) <= due
    assert statuses.count(429) >= len(statuses) / 2
    assert set(statuses) == {201, 429}
    assert min(ratios) < SLOWER_MAX


async def test_what_is_refused_says_when_to_come_back_and_leaves_nothing(conversions: ConversionsService) -> None:
    async def receipts() -> int:
        rows = await conversions.rows(
            "SELECT count(*) AS stored FROM receipt WHERE merchant_id = :merchant", merchant=MERCHANT
        )
        return int(rows[0]["stored"])

    before = await receipts()
    answers = await asyncio.gather(*(send(conversions, MERCHANT, TOKEN) for _ in range(2 * LIMIT.burst)))
    refused = [answer for answer in answers if answer[0] == 429]
    assert refused
    for _, headers, body in refused:
        assert (body["code"], body["status"]) == ("rate_limited", 429)
        assert headers["ratelimit-policy"] == '"merchant";q=100;w=3'
        assert headers["ratelimit"] == f'"merchant";r=0;t={headers["retry-after"]}'

    assert await receipts() - before == len(answers) - len(refused), "a 429 leaves nothing"

    batch = {"conversions": [{"order_id": conversions.order()} for _ in range(100)]}
    answer = await conversions.client.post(
        "/v1/conversions", json=batch, headers=conversions.as_role("merchant", MERCHANT)
    )
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert int(answer.headers["retry-after"]) >= 1
