"""T39: from an empty folder to a serving platform, again on what is there, and every start that cannot work."""

import asyncio
import os
from typing import Final

from tests.faults.bench import Bench
from tests.faults.cold_start import BAD_STARTS, ColdStart, cold_start, is_possible, judge_bad_start
from tests.faults.scorecard import Figure, Measured, scorecard_row

ROUNDS: Final = {"P": 1, "N": 5}
COLD_SECONDS_MAX: Final = 15.0
"""The scorecard's figure for an idle machine of two cores. A crowded one is told by its load, and not judged by it."""

CROWDED_LOAD: Final = 1.0
"""Load average per core beforehand, above which other programs decide how long a start takes."""


@scorecard_row("T39", "cold start", tiers=("P", "N"))
async def first_start(bench: Bench) -> Measured:
    """With the embedded log, as on a machine without Java: no network, no root, no folder."""
    await bench.discard_platform()  # nothing of ours beside it
    load = os.getloadavg()[0] / (os.cpu_count() or 1)
    cold: list[ColdStart] = []
    warm: list[ColdStart] = []
    for number in range(ROUNDS[bench.tier]):
        home = bench.folder / f"home-{number}"
        bench.say("starting from nothing")
        cold.append(await asyncio.to_thread(cold_start, home))
        bench.say("starting on what is there")
        warm.append(await asyncio.to_thread(cold_start, home))
    bad_starts = [bad for bad in BAD_STARTS if is_possible(bad)]
    broken = [what for start in (*cold, *warm) for what in start.broken]
    for bad in bad_starts:
        bench.say(f"a start that cannot work: {bad.name}")
        broken += (await asyncio.to_thread(judge_bad_start, bad, bench.folder / bad.name.replace(" ", "-"))).broken
    slowest = max(start.ready_seconds for start in cold)
    is_crowded = load > CROWDED_LOAD
    if slowest >= COLD_SECONDS_MAX and not is_crowded:
        broken.append(f"a cold start took {slowest:.1f} s, not under {COLD_SECONDS_MAX:.0f} s")
    figures: dict[str, Figure] = {
        "cold_seconds": slowest,
        "cold_over_warm": slowest / max(start.ready_seconds for start in warm),
        "bad_starts": len(bad_starts),
        "load_per_core_before": round(load, 2),
    }
    judged = "the machine was crowded: seconds are not judged" if is_crowded else "the machine was idle"
    return Measured(2 * len(cold) + len(bad_starts), figures, broken, note=f"{cold[0].conditions}; {judged}")
