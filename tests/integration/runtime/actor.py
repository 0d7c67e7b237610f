"""A relay and a consumer in a process of their own, to be killed at a failpoint.

Run as `python -m tests.integration.runtime.actor relay|consumer <count>`; the stage comes in STAGE as JSON. The
consumer ends once `count` effects are there; the relay once nothing is pending.
"""

import asyncio
import json
import os
import sys

from sqlalchemy import text

from shared.contracts.topics import Topic
from tests.integration.runtime.stage import Stage


def stage_from_environment() -> Stage:
    """The parent's stage."""
    told = json.loads(os.environ["STAGE"])
    return Stage(**{**told, "topic": Topic(**{**told["topic"], "consumers": tuple(told["topic"]["consumers"])})})


async def _consume(stage: Stage, count: int) -> None:
    async with stage.consuming(batch_size=10):
        while len(await stage.effects()) < count:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)


async def _relay(stage: Stage) -> None:
    async with stage.relaying():
        database = stage.producer_database()
        pending = 1
        while pending:
            await asyncio.sleep(0.05)
            async with database.transaction() as session:
                result = await session.execute(
                    text("SELECT count(*) FROM outbox WHERE topic = :topic AND published_at IS NULL"),
                    {"topic": stage.topic.name},
                )
                pending = result.scalar_one()
        await database.close()


if __name__ == "__main__":
    part, wanted = sys.argv[1], int(sys.argv[2])
    asyncio.run(_relay(stage_from_environment()) if part == "relay" else _consume(stage_from_environment(), wanted))
