"""T38: SIGTERM to each process in turn, under load. Whoever was let in is answered, and nothing is forgotten."""

import asyncio
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlencode

from deploy.local.roles import ROLES
from tests.demo.network import PROBE_ORDER
from tests.demo.stage import Stage
from tests.faults.bench import Bench
from tests.faults.load import Load, prepared_load
from tests.faults.raw_client import Tally, ask_again_and_again, status_of
from tests.faults.scorecard import Measured, scorecard_row
from tests.faults.staged_platform import StagedPlatform

EXIT_SECONDS_MAX: Final = 25.0
READY_SECONDS_MAX: Final = 60.0
CLIENTS: Final = 8
"""On the process itself, beside the traffic through the public door; every fourth on a new connection each time."""

LOOK_SECONDS: Final = 0.02
BEFORE_SECONDS: Final = 0.5
CLICKS_A_SECOND: Final = 40
POSTBACKS_A_SECOND: Final = 4
ROUNDS: Final = {"P": 1, "N": 10}
NOBODY: Final = 2_000_000_000
"""An affiliate that does not exist: shoppers arrive, and no affiliate's list shows the click."""

BROWSER: Final = (
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0\r\n"
)


@dataclass(slots=True)
class _Stop:
    """What one process did. ready: what /readyz said from the signal on, in order."""

    name: str
    tally: Tally = field(default_factory=Tally)
    ready: list[int | None] = field(default_factory=list)
    exit_seconds: float = 0.0
    exit_status: str = ""


@scorecard_row("T38", "graceful stop of every process", tiers=("P", "N"))
async def graceful_stop(bench: Bench) -> Measured:
    """Each API has clients of its own besides; each process is back before the next one is told to stop."""
    platform = await bench.platform()
    stops: list[_Stop] = []
    async with prepared_load(platform, bench.folder) as load:
        async with load.flowing(clicks_a_second=CLICKS_A_SECOND, postbacks_a_second=POSTBACKS_A_SECOND):
            for _ in range(ROUNDS[bench.tier]):
                for role in ROLES:
                    bench.say(f"SIGTERM to {role.name}")
                    stops.append(await _stop(platform, load, role.name))
        bench.say("comparing with the history")
        findings = await load.settle()
    apis = [stop for stop in stops if stop.name.endswith("-api")]
    figures = {
        "stops": len(stops),
        "failed_requests": sum(len(stop.tally.failed) for stop in stops),
        "told_to_leave": sum(stop.tally.closed_politely for stop in apis),
        "longest_exit_seconds": max(stop.exit_seconds for stop in stops),
        "not_ready_first": sum(_says_not_ready_first(stop) for stop in stops),
        **findings.counts,
    }
    broken = [what for stop in stops for what in _broken(stop)] + findings.worst
    return Measured(
        sum(stop.tally.n for stop in stops), figures, broken, note="N: requests to the processes themselves"
    )


async def _stop(platform: StagedPlatform, load: Load, name: str) -> _Stop:
    stop = _Stop(name)
    port, target, over = platform.port(name), _target(name, load.stage), asyncio.Event()
    clients = [
        asyncio.create_task(ask_again_and_again(port, target, BROWSER, stop.tally, over, keep_alive=number % 4 > 0))
        for number in range(CLIENTS if name.endswith("-api") else 0)
    ]
    await asyncio.sleep(BEFORE_SECONDS)
    pid = platform.send_signal(name, signal.SIGTERM)
    asked_at = time.monotonic()
    looking = asyncio.create_task(_look(port, stop))
    with suppress(TimeoutError):
        async with asyncio.timeout(2 * EXIT_SECONDS_MAX):
            while platform.is_alive(pid):
                await asyncio.sleep(LOOK_SECONDS)
    stop.exit_seconds = time.monotonic() - asked_at
    over.set()
    looking.cancel()
    await asyncio.gather(*clients)
    await platform.until_back(name, pid)
    async with asyncio.timeout(READY_SECONDS_MAX):
        while await status_of(port, "/readyz") != 200:
            await asyncio.sleep(LOOK_SECONDS)
    stop.exit_status = _exit_status(platform, name)
    return stop


async def _look(port: int, stop: _Stop) -> None:
    while True:
        stop.ready.append(await status_of(port, "/readyz"))
        await asyncio.sleep(LOOK_SECONDS)


def _target(name: str, stage: Stage) -> str:
    """What to ask a process: its hot path, without leaving a trace in what the history is compared with."""
    offer = stage.network.offers["shoes"]
    if name in ("clicks-api", "gateway-api"):
        return f"/c/{offer.offer_id}/{NOBODY}"
    if name == "conversions-api":
        merchant = offer.merchant
        trial = {"merchant_id": merchant.merchant_id, "order_id": PROBE_ORDER, "test": "1", "token": merchant.token}
        return f"/postback?{urlencode(trial)}"
    return "/v1/trial-balance"


def _exit_status(platform: StagedPlatform, name: str) -> str:
    """What the supervisor last said of its end: `exit 0`, `signal 9`."""
    log = (platform.home / "logs" / "supervisor.log").read_text(errors="replace")
    ends = [str(status) for status in re.findall(rf"{name} ended \((.*?)\)", log)]
    return ends[-1] if ends else ""


def _says_not_ready_first(stop: _Stop) -> bool:
    """True when /readyz said 503 at least once, and never anything else before it was silent."""
    statuses = stop.ready[: stop.ready.index(None)] if None in stop.ready else stop.ready
    while statuses and statuses[0] == 200:  # asked before the signal was handled
        statuses = statuses[1:]
    return bool(statuses) and set(statuses) == {503}


def _broken(stop: _Stop) -> list[str]:
    answered = set(stop.tally.answered)
    expected = {401} if stop.name == "commissions-api" else {200} if stop.name == "conversions-api" else {302}
    rules = {
        f"{len(stop.tally.failed)} failed: {', '.join(stop.tally.failed[:3])}": bool(stop.tally.failed),
        f"answered {stop.tally.answered}": stop.name.endswith("-api") and answered != expected,
        "no kept connection was told to leave": stop.name.endswith("-api") and not stop.tally.closed_politely,
        f"took {stop.exit_seconds:.1f} s": stop.exit_seconds > EXIT_SECONDS_MAX,
        f"ended with {stop.exit_status or 'nothing that was said'}": stop.exit_status != "exit 0",
        f"/readyz said {stop.ready[:20]}": not _says_not_ready_first(stop),
    }
    return [f"{stop.name}: {what}" for what, is_so in rules.items() if is_so]
