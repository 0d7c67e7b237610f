"""T26: PostgreSQL is gone, and then it is there and lets nobody in. Redirects go on; no postback is taken in vain."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Final

from deploy.local.roles import SERVICES
from tests.demo.history import Attempt, Operation
from tests.faults.bench import Bench
from tests.faults.checker import attempts_between
from tests.faults.load import prepared_load
from tests.faults.outage import EDGE_SECONDS, POSTBACKS, Instants, Redirects, describe, restarted
from tests.faults.scorecard import Figure, Measured, scorecard_row
from tests.faults.staged_platform import StagedPlatform

OUTAGE_SECONDS: Final = {"P": 10.0, "N": 60.0}
CROWDED_SECONDS: Final = {"P": 5.0, "N": 20.0}
BEFORE_SECONDS: Final = 8.0
BETWEEN_SECONDS: Final = 7.0
CLICKS_A_SECOND: Final = 80
POSTBACKS_A_SECOND: Final = 10
RECOVERY_SECONDS_MAX: Final = 5.0
UNTOUCHED: Final = frozenset({401})
"""Answers that need no database: nobody's postback is refused from what is known in memory."""

Fault = Callable[[StagedPlatform], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def _stopped(platform: StagedPlatform) -> AsyncIterator[None]:
    """PostgreSQL is shut down; it is up again when the block is left."""
    await platform.postgres.stop()
    yield
    await platform.postgres.start()


@asynccontextmanager
async def _crowded(platform: StagedPlatform) -> AsyncIterator[None]:
    """PostgreSQL answers every connection with "too many connections" (53300), and those there were are ended."""
    async with platform.database("conversions") as admin:
        for service in SERVICES:
            await admin.execute(f"ALTER DATABASE tributary_{service} CONNECTION LIMIT 0")
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname LIKE 'tributary_%' AND pid <> pg_backend_pid()"
        )
        yield
        for service in SERVICES:
            await admin.execute(f"ALTER DATABASE tributary_{service} CONNECTION LIMIT -1")


@scorecard_row("T26", "PostgreSQL down, and too many connections", tiers=("P", "N"))
async def database_down(bench: Bench) -> Measured:
    """Both faults in one load, one after the other."""
    platform = await bench.platform()
    down, crowded = OUTAGE_SECONDS[bench.tier], CROWDED_SECONDS[bench.tier]
    async with prepared_load(platform, bench.folder) as load:
        pids = platform.pids()
        bench.say(f"load; PostgreSQL is down for {down:.0f} s and crowded for {crowded:.0f} s of it")
        began = time.time()
        async with load.flowing(clicks_a_second=CLICKS_A_SECOND, postbacks_a_second=POSTBACKS_A_SECOND):
            happened = await _break(platform, began, {_stopped: down, _crowded: crowded})
        bench.say("comparing with the history")
        findings = await load.settle()
        operations = load.operations()
        figures, broken, n = _judge(operations, *happened)
        broken += [*restarted(pids, platform.pids()), *findings.worst]
        return Measured(n, {**figures, **findings.counts}, broken, note="N: sent during both outages")


async def _break(platform: StagedPlatform, began: float, faults: dict[Fault, float]) -> list[Instants]:
    await asyncio.sleep(BEFORE_SECONDS)
    happened = []
    for fault, seconds in faults.items():
        instants = Instants(began=began)
        async with fault(platform):
            instants.stopped = time.time()
            await asyncio.sleep(seconds)
            instants.start_asked = time.time()
        instants.back = time.time()
        happened.append(instants)
        await asyncio.sleep(BETWEEN_SECONDS)
        instants.ended = time.time()
    return happened


def _judge(operations: list[Operation], down: Instants, crowded: Instants) -> tuple[dict[str, Figure], list[str], int]:
    crowded.began = down.back  # the time between the two serves both
    figures: dict[str, Figure] = {}
    broken: list[str] = []
    n = 0
    for name, instants in {"down": down, "crowded": crowded}.items():
        redirects = Redirects.of(operations, instants)
        postbacks = attempts_between(
            operations, POSTBACKS, instants.stopped + EDGE_SECONDS, instants.start_asked - EDGE_SECONDS
        )
        wrong = [describe(attempt) for attempt in postbacks if not _is_rightly_refused(attempt)]
        recovery = _recovery_seconds(operations, instants)
        n += redirects.sent + len(postbacks)
        figures |= {f"{name}_{key}": value for key, value in redirects.figures.items()}
        figures |= {
            f"{name}_postbacks": len(postbacks),
            f"{name}_not_503": len(wrong),
            f"{name}_recovery_seconds": recovery,
        }
        broken += [f"{name}: {what}" for what in redirects.broken]
        if wrong or not postbacks:
            broken.append(
                f"{name}: {len(wrong)} of {len(postbacks)} postbacks not answered 503: {', '.join(wrong[:5])}"
            )
        if recovery >= RECOVERY_SECONDS_MAX:
            broken.append(f"{name}: no postback was taken within {RECOVERY_SECONDS_MAX:.0f} s of its return")
    return figures, broken, n


def _is_rightly_refused(attempt: Attempt) -> bool:
    return attempt.status in UNTOUCHED or (attempt.status == 503 and bool(attempt.retry_after))


def _recovery_seconds(operations: list[Operation], instants: Instants) -> float:
    """From its return to the first postback taken."""
    after = attempts_between(operations, POSTBACKS, instants.start_asked, instants.back + BETWEEN_SECONDS)
    taken = [attempt.ended_at for attempt in after if attempt.status in (200, 201) and attempt.ended_at is not None]
    return max(0.0, min(taken, default=instants.back + BETWEEN_SECONDS) - instants.back)
