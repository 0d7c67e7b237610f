"""Rows whose measurement is a test on engines of its own: run it, and read the figures that it prints."""

import asyncio
import re
import sys
from typing import Final

from tests.faults.bench import Bench
from tests.faults.scorecard import Figure, Measured

TEST_SECONDS_MAX: Final = 300.0
_FIGURE: Final = re.compile(r"([a-z0-9_]+)=([0-9]+(?:\.[0-9]+)?)")


async def measured_by(bench: Bench, row_id: str, test: str, *, operations: tuple[str, ...]) -> Measured:
    """What `test` (a pytest node id, or a file of tests) printed as `{row_id} name=number …`, added up over its lines.

    N is the sum of `operations` among them.
    """
    bench.say(f"running {test}")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:randomly", test),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        said, _ = await asyncio.wait_for(process.communicate(), TEST_SECONDS_MAX)
    except TimeoutError:
        process.kill()
        await process.wait()
        return Measured(0, {}, broken=[f"{test} took longer than {TEST_SECONDS_MAX:.0f} s"])
    lines = said.decode(errors="replace").splitlines()
    figures: dict[str, Figure] = {}
    for line in (line for line in lines if line.startswith(f"{row_id} ")):
        for name, number in _FIGURE.findall(line):
            figures[name] = float(figures.get(name, 0)) + float(number)
    n = sum(int(figures.get(name, 0)) for name in operations)
    broken = [line for line in lines if line.startswith("E  ")][:5] if process.returncode else []
    if process.returncode and not broken:
        broken = [f"{test} ended with {process.returncode}"]
    if not figures and not broken:
        broken = [f"{test} printed no figures"]
    return Measured(n, figures, broken=broken)
