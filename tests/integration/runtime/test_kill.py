"""kill -9 at every step of the relay and of the consumer: each event still has its effect, once."""

import asyncio
import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.integration.runtime.stage import Stage

REPOSITORY = Path(__file__).parents[3]

CONSUMER_FAILPOINTS = (
    "consumer.after_fetch:2",
    "consumer.after_fence:1",
    "consumer.before_commit:2",
    "consumer.after_commit_before_offset:2",
    "consumer.after_offset:1",
)


@pytest.mark.parametrize("failpoint", CONSUMER_FAILPOINTS)
async def test_consumer_killed(stage: Stage, failpoint: str) -> None:
    bodies = [f"{number}" for number in range(40)]
    await stage.publish(bodies)

    assert await _act(stage, "relay", 40) == 0
    assert await _act(stage, "consumer", 40, failpoint=failpoint) == -signal.SIGKILL
    assert await _act(stage, "consumer", 40) == 0

    assert await stage.bodies() == bodies


@pytest.mark.parametrize("failpoint", ["relay.after_send_before_mark", "relay.after_mark"])
async def test_relay_killed(stage: Stage, failpoint: str) -> None:
    if failpoint == "relay.after_send_before_mark" and not stage.is_kafka:
        pytest.skip("the embedded log stamps and marks in one statement")
    bodies = [f"{number}" for number in range(40)]
    await stage.publish(bodies)

    assert await _act(stage, "relay", 40, failpoint=failpoint) == -signal.SIGKILL
    assert await _act(stage, "relay", 40) == 0
    assert await _act(stage, "consumer", 40) == 0

    arrived = await stage.bodies()
    if failpoint == "relay.after_mark":
        assert arrived == bodies
    else:  # sent twice, in order each time: handlers have natural keys for this
        assert list(dict.fromkeys(arrived)) == bodies


async def _act(stage: Stage, part: str, count: int, *, failpoint: str = "") -> int:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.runtime.actor",
        part,
        str(count),
        cwd=REPOSITORY,
        env={**os.environ, "STAGE": json.dumps(asdict(stage)), "TRIBUTARY_ENV": "test", "FAILPOINT": failpoint},
    )
    async with asyncio.timeout(60):
        return await process.wait()
