"""T24: the broker goes away under load and comes back. Nobody notices but the operator."""

import asyncio
import time
from base64 import b32hexdecode
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tests.demo.history import Operation
from tests.faults.bench import Bench
from tests.faults.checker import Findings, attempts_between
from tests.faults.load import Load, prepared_load, until
from tests.faults.outage import POSTBACKS, Instants, Redirects, describe, restarted
from tests.faults.scorecard import Measured, scorecard_row

OUTAGE_SECONDS: Final = {"P": 10.0, "N": 60.0}
BEFORE_SECONDS: Final = 10.0
AFTER_SECONDS: Final = 5.0
CLICKS_A_SECOND: Final = 80
POSTBACKS_A_SECOND: Final = 8


@scorecard_row("T24", "broker down", tiers=("P", "N"))
async def broker_down(bench: Bench) -> Measured:
    """kill -9 of the only broker, and its return after 10 s (60 s in tier N)."""
    platform = await bench.platform(needs_kafka=True)
    outage_seconds = OUTAGE_SECONDS[bench.tier]
    async with prepared_load(platform, bench.folder) as load:
        pids = platform.pids()
        bench.say(f"load; the broker is gone for {outage_seconds:.0f} s of it")
        instants = Instants(began=time.time())
        async with load.flowing(clicks_a_second=CLICKS_A_SECOND, postbacks_a_second=POSTBACKS_A_SECOND):
            drained_seconds = await _break(load, instants, outage_seconds)
            await asyncio.sleep(AFTER_SECONDS)
        instants.ended = time.time()
        bench.say("comparing with the history")
        findings = await load.settle()
        measured = _judge(load.operations(), instants, findings, drained_seconds, outage_seconds)
        measured.broken.extend(restarted(pids, platform.pids()))
        return measured


async def _break(load: Load, instants: Instants, outage_seconds: float) -> float:
    """Gives the seconds from the broker's return until everything owed to it was there."""
    kafka = load.platform.kafka
    assert kafka is not None
    await asyncio.sleep(BEFORE_SECONDS)
    await kafka.kill()
    instants.stopped = time.time()
    await asyncio.sleep(outage_seconds)
    instants.start_asked = time.time()
    await kafka.start()
    instants.back = time.time()
    owed = _click_ids(load.operations(), instants.stopped, instants.back)
    return await until(lambda: _have_arrived(load, owed), 10 * outage_seconds)


def _click_ids(operations: list[Operation], start: float, end: float) -> list[bytes]:
    """The click IDs answered between two instants."""
    found = []
    for operation in operations:
        if operation.kind == "click_get" and operation.answer is not None:
            answer = operation.answer
            if answer.ended_at is not None and start <= answer.ended_at < end:
                query = dict(parse_qsl(urlsplit(answer.location or "").query))
                found.append(b32hexdecode(query[operation.facts["click_id_parameter"]].upper()))
    return found


async def _have_arrived(load: Load, click_ids: list[bytes]) -> bool:
    """True when the click log has every one, and every outbox has let go of what it held during the outage."""
    async with load.platform.database("clicks") as clicks:
        stored = await clicks.fetchval("SELECT count(*) FROM click WHERE click_id = ANY($1)", click_ids)
    for service in ("clicks", "conversions", "commissions"):
        async with load.platform.database(service) as database:
            if await database.fetchval(
                "SELECT EXISTS (SELECT FROM outbox WHERE published_at IS NULL AND created_at < now() - interval '1 s')"
            ):
                return False
    return bool(stored == len(click_ids))


def _judge(
    operations: list[Operation],
    instants: Instants,
    findings: Findings,
    drained_seconds: float,
    outage_seconds: float,
) -> Measured:
    redirects = Redirects.of(operations, instants)
    postbacks = attempts_between(operations, POSTBACKS, instants.stopped, instants.back)
    refused = [attempt for attempt in postbacks if attempt.status is None or attempt.status >= 500]
    figures = {
        **redirects.figures,
        "postbacks": len(postbacks),
        "postbacks_refused": len(refused),
        "drained_seconds": drained_seconds,
        **findings.counts,
    }
    rules = {
        "no postbacks were sent during the outage": not postbacks,
        f"postbacks were refused: {', '.join(map(describe, refused[:5]))}": bool(refused),
        f"backlog not drained within {2 * outage_seconds:.0f} s": drained_seconds >= 2 * outage_seconds,
    }
    broken = [*redirects.broken, *(what for what, is_so in rules.items() if is_so), *findings.worst]
    return Measured(redirects.sent + len(postbacks), figures, broken, note="N: sent during the outage")
