"""`python -m tests.faults`: run a tier of the scorecard. Exit 0: no row failed; 1: one did; 2: asked for nonsense.

One line a row as it finishes, progress on the error stream, everything as JSON at the end; `--table` prints a finished
run's JSON as Markdown instead.
"""

import argparse
import asyncio
import json
import os
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, get_args

from tests.faults.bench import Bench
from tests.faults.scorecard import Measured, Plan, Row, RowNotPossible, Tier, all_plans, shown

JSON_NAME: Final = "scorecard.json"
ROW_SECONDS_MAX: Final = {"P": 300.0, "N": 3_600.0, "R": 4 * 3_600.0}
"""A row that hangs must not keep the others from being run."""


async def run_rows(plans: Sequence[Plan], tier: Tier) -> list[Row]:
    """Run them one after another; a row that raises has failed, and the next one gets a fresh platform."""
    bench = Bench(tier)
    rows = []
    try:
        for plan in plans:
            bench.enter(plan.row_id)
            row = await _run_row(plan, bench)
            print(row.line, flush=True)
            rows.append(row)
            if row.verdict == "fail":
                await bench.discard_platform()
    finally:
        await bench.close()
    return rows


async def _run_row(plan: Plan, bench: Bench) -> Row:
    began_at = time.monotonic()
    verdict = None
    try:
        async with asyncio.timeout(ROW_SECONDS_MAX[bench.tier]):
            measured = await plan.function(bench)
    except RowNotPossible as reason:
        measured, verdict = Measured(0, {}, note=str(reason)), "not run"
    except (Exception, ExceptionGroup) as failure:
        traceback.print_exc()
        measured = Measured(0, {}, broken=[f"{type(failure).__name__}: {str(failure)[:2_000]}"])
    return Row(
        id=plan.row_id,
        title=plan.title,
        tier=bench.tier,
        verdict="not run" if verdict else "fail" if measured.broken else "pass",
        n=measured.n,
        figures=measured.figures,
        broken=measured.broken,
        note=measured.note,
        seconds=time.monotonic() - began_at,
    )


def as_table(scorecard: dict[str, Any]) -> str:
    """The JSON of a run as a Markdown table."""
    lines = ["| row | N | figures | |", "|---|---|---|---|"]
    for row in scorecard["rows"]:
        figures = ", ".join(f"{name} {shown(value)}" for name, value in row["figures"].items())
        lines.append(f"| {row['id']} {row['title']} | {row['n']:,} | {figures} | {row['verdict']} |")
    return "\n".join(lines)


def _default_json() -> Path:
    """In the state folder of `make run`, where there is one."""
    return Path(os.environ.get("TRIBUTARY_HOME") or ".tributary") / JSON_NAME


def _write(path: Path, tier: Tier, rows: Sequence[Row], seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "tier": tier,
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(seconds, 1),
        "cores": os.cpu_count(),
        "rows": [asdict(row) for row in rows],
    }
    path.write_text(json.dumps(content, indent=2) + "\n")


def main(arguments: Sequence[str]) -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--tier", choices=get_args(Tier), default="P")
    parser.add_argument("--only", default="", help="rows by number, such as T24,T36; default: all of the tier")
    parser.add_argument("--json", type=Path, default=None, help=f"where to write; default: {_default_json()}")
    parser.add_argument("--table", action="store_true", help="print the last run as Markdown and run nothing")
    given = parser.parse_args(arguments)
    path: Path = given.json or _default_json()
    if given.table:
        print(as_table(json.loads(path.read_text())))
        return 0
    plans = {plan.row_id: plan for plan in all_plans() if given.tier in plan.tiers}
    wanted = [word.strip().upper() for word in given.only.split(",") if word.strip()] or list(plans)
    if unknown := [row_id for row_id in wanted if row_id not in plans]:
        print(f"No such row in tier {given.tier}: {', '.join(unknown)}. There are: {', '.join(plans)}", file=sys.stderr)
        return 2
    began_at = time.monotonic()
    rows = asyncio.run(run_rows([plans[row_id] for row_id in plans if row_id in wanted], given.tier))
    seconds = time.monotonic() - began_at
    _write(path, given.tier, rows, seconds)
    failed = [row.id for row in rows if row.verdict == "fail"]
    print(f"{len(rows)} rows in {seconds:.0f} s, {len(failed)} failed; {path}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
