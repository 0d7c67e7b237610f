"""Bulk jobs under kill -9 and under two workers at once: each row has its effect once."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from services.conversions.usecases.work_bulk_jobs import CHUNK_ROWS
from tests.conftest import TestPostgres
from tests.factories.conversions import MERCHANT, ConversionsService
from tests.integration.conversions.test_bulk_jobs import EUR, ask, result_of, work

REPOSITORY = Path(__file__).parents[3]


async def many_sales(service: ConversionsService, count: int) -> list[str]:
    """That many pending conversions' ids, reported in batches."""
    offer_id, made = await service.publish(), list[str]()
    for start in range(0, count, 100):
        items = [
            {
                "click_id": service.click_id(offer_id=offer_id),
                "order_id": service.order(),
                "amount": "10.00",
                "currency": EUR,
            }
            for _ in range(min(100, count - start))
        ]
        answer = await service.client.post(
            "/v1/conversions", json={"conversions": items}, headers=service.as_role("merchant", MERCHANT)
        )
        made += [result["conversion_id"] for result in answer.json()["results"]]
    return made


async def killed(url: str, failpoint: str) -> int:
    """The exit code of a worker of its own that dies at `failpoint`, or ends when all is done."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.conversions.bulk_actor",
        url,
        cwd=REPOSITORY,
        env={**os.environ, "TRIBUTARY_ENV": "test", "FAILPOINT": failpoint},
    )
    async with asyncio.timeout(90):
        return await process.wait()


@pytest.mark.parametrize("failpoint", ["bulk.before_rows:2", "bulk.before_commit:1", "bulk.before_commit:3"])
async def test_a_worker_that_dies_does_each_row_once(
    conversions: ConversionsService, postgres: TestPostgres, failpoint: str
) -> None:
    ids = await many_sales(conversions, 2 * CHUNK_ROWS + 30)
    refund = {"adjustment_id": "K", "reason_code": "fraud", "refund_amount": {"amount": "1.00", "currency": EUR}}
    rows = [
        {"ref": ref, "action": "approve"} if place % 2 else {"ref": ref, "action": "adjust", **refund}
        for place, ref in enumerate(ids)
    ]
    answer = await ask(conversions, rows)

    url = postgres.url("conversions")
    assert await killed(url, failpoint) == -signal.SIGKILL
    halfway, _ = await result_of(conversions, answer)
    assert await killed(url, "") == 0
    job, results = await result_of(conversions, answer)

    committed = CHUNK_ROWS * (int(failpoint[-1]) - 1)
    assert (halfway["done"], halfway["status"]) == (committed, "working" if committed else "waiting")
    assert (job["done"], job["already"], job["refused"], job["status"]) == (len(ids), 0, 0, "finished")
    assert {result["outcome"] for result in results} == {"done"}
    counted = await conversions.rows(
        "SELECT version, count(*) AS n FROM conversion_version WHERE conversion_id = ANY(:ids) GROUP BY version",
        ids=ids,
    )
    assert {row["version"]: row["n"] for row in counted} == {1: len(ids), 2: len(ids)}
    (adjustments,) = await conversions.rows(
        "SELECT count(*) AS n FROM adjustment WHERE conversion_id = ANY(:ids)", ids=ids
    )
    assert adjustments["n"] == (len(ids) + 1) // 2


async def test_two_workers_at_once_do_each_row_once(conversions: ConversionsService, postgres: TestPostgres) -> None:
    ids = await many_sales(conversions, CHUNK_ROWS + 20)
    answers = [
        await ask(conversions, [{"ref": ref, "action": "approve"} for ref in order]) for order in (ids, ids[::-1])
    ]

    url = postgres.url("conversions")
    assert tuple(await asyncio.gather(killed(url, ""), killed(url, ""))) == (0, 0)

    jobs = [(await result_of(conversions, answer))[0] for answer in answers]
    if any(job["status"] != "finished" for job in jobs):  # one left while the other had the last job in hand
        await work(conversions)
        jobs = [(await result_of(conversions, answer))[0] for answer in answers]
    assert sum(job["done"] for job in jobs) == len(ids)
    assert sum(job["already"] for job in jobs) == len(ids)
    counted = await conversions.rows(
        "SELECT count(*) AS n FROM conversion_version WHERE conversion_id = ANY(:ids) AND change = 'approved'", ids=ids
    )
    assert counted[0]["n"] == len(ids)
