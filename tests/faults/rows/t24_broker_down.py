"""T24: the broker goes away under load and comes back. Nobody notices but the operator."""

import asyncio
import time
from base64 import b32hexdecode
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tests.demo.history import Operation
from tests.faults.bench import Bench
from tests.faults.checker import Findings, attempts_between, milliseconds_of, percentile
from tests.faults.load import Load, prepared_load, until
from tests.faults.scorecard import Measured, scorecard_row

OUTAGE_SECONDS: Final = {"P": 10.0, "N": 60.0}
BEFORE_SECONDS: Final = 10.0
AFTER_SECONDS: Final = 5.0
WARM_SECONDS: Final = 2.0
CLICKS_A_SECOND: Final = 80
POSTBACKS_A_SECOND: Final = 8
SUCCESS_SHARE_MIN: Final = 0.999
RATIO_MAX: Final = 2.0


@dataclass(slots=True)
class _Instants:
    """Unix times of what was done to the broker."""

    began: float = 0.0
    stopped: float = 0.0
    start_asked: float = 0.0
    back: float = 0.0
    drained_seconds: float = 0.0


@scorecard_row("T24", "broker down", tiers=("P", "N"))
async def broker_down(bench: Bench) -> Measured:
    """kill -9 of the only broker, and its return after 10 s (60 s in tier N)."""
    platform = await bench.platform(needs_kafka=True)
    outage_seconds = OUTAGE_SECONDS[bench.tier]
    seconds = BEFORE_SECONDS + outage_seconds + AFTER_SECONDS
    async with prepared_load(platform, bench.folder) as load:
        pids = platform.pids()
        bench.say(f"load for {seconds:.0f} s, the broker is gone for {outage_seconds:.0f} s of it")
        instants = _Instants(began=time.time())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(
                load.run(
                    clicks=int(CLICKS_A_SECOND * seconds), postbacks=int(POSTBACKS_A_SECOND * seconds), seconds=seconds
                )
            )
            tasks.create_task(_break(load, instants, outage_seconds))
        bench.say("comparing with the history")
        findings = await load.settle()
        restarted = [name for name, pid in platform.pids().items() if pid != pids[name]]
        return _judge(load.operations(), instants, findings, restarted, outage_seconds)


async def _break(load: Load, instants: _Instants, outage_seconds: float) -> None:
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
    instants.drained_seconds = await until(lambda: _have_arrived(load, owed), 10 * outage_seconds)


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
    instants: _Instants,
    findings: Findings,
    restarted: list[str],
    outage_seconds: float,
) -> Measured:
    clicks = ("click_get", "click_json", "click_head")
    during = attempts_between(operations, clicks, instants.stopped, instants.back)
    good = sum(attempt.status in (200, 302) for attempt in during)
    before_ms = milliseconds_of(
        attempts_between(operations, clicks, instants.began + WARM_SECONDS, instants.stopped - 0.5)
    )
    during_ms = milliseconds_of(attempts_between(operations, clicks, instants.stopped, instants.start_asked))
    postbacks = attempts_between(operations, ("postback_",), instants.stopped, instants.back)
    refused = sum(attempt.status is None or attempt.status >= 500 for attempt in postbacks)
    p99_before, p99_during = percentile(before_ms, 0.99), percentile(during_ms, 0.99)
    figures = {
        "redirects_ok_share": good / max(1, len(during)),
        "p99_before_ms": p99_before,
        "p99_during_ms": p99_during,
        "p99_ratio": p99_during / max(p99_before, 0.001),
        "longest_during_ms": during_ms[-1] if during_ms else 0.0,
        "postbacks_during": len(postbacks),
        "postbacks_unanswered": refused,
        "drained_seconds": instants.drained_seconds,
        **findings.counts,
    }
    rules = {
        f"fewer than {SUCCESS_SHARE_MIN:.1%} of redirects": figures["redirects_ok_share"] < SUCCESS_SHARE_MIN,
        f"p99 not under {RATIO_MAX} × before": figures["p99_ratio"] >= RATIO_MAX,
        "postbacks were not acknowledged during the outage": refused > 0 or not postbacks,
        f"backlog not drained within {2 * outage_seconds:.0f} s": instants.drained_seconds >= 2 * outage_seconds,
        f"restarted: {', '.join(restarted)}": bool(restarted),
    }
    broken = [what for what, holds in rules.items() if holds] + findings.worst
    return Measured(len(during) + len(postbacks), figures, broken, note="N: sent during the outage")
