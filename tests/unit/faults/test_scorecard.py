"""How the scorecard runs rows and tells what came of them."""

import pytest

from tests.faults.__main__ import as_table, run_rows
from tests.faults.bench import Bench
from tests.faults.scorecard import Measured, Plan, RowNotPossible, all_plans, scorecard_row


async def _holds(bench: Bench) -> Measured:
    return Measured(10, {"ratio": 1.25})


async def _breaks(bench: Bench) -> Measured:
    return Measured(10, {"lost": 1}, broken=["lost: one"])


async def _raises(bench: Bench) -> Measured:
    raise AssertionError("it fell over")


async def _cannot(bench: Bench) -> Measured:
    raise RowNotPossible("needs wings")


async def test_a_row_passes_only_when_nothing_is_broken_and_nothing_was_raised(
    capsys: pytest.CaptureFixture[str],
) -> None:
    functions = (_holds, _breaks, _raises, _cannot)
    plans = [Plan(f"T{900 + place}", "row", ["P"], function) for place, function in enumerate(functions)]

    rows = await run_rows(plans, "P")

    assert [row.verdict for row in rows] == ["pass", "fail", "fail", "not run"]
    assert rows[2].broken == ["AssertionError: it fell over"]
    assert rows[3].note == "needs wings"
    printed = capsys.readouterr().out.splitlines()
    assert printed[0].startswith("T900 pass    N=10 ")
    assert "ratio 1.25" in printed[0]


def test_every_row_has_an_id_of_its_own_and_a_tier() -> None:
    plans = all_plans()

    assert plans
    assert all(plan.row_id[1:].isdigit() and plan.tiers for plan in plans)
    with pytest.raises(ValueError, match="registered twice"):
        scorecard_row(plans[0].row_id, "again", tiers=["P"])(_holds)


def test_the_table_shows_every_row_with_its_n() -> None:
    row = {"id": "T24", "title": "broker down", "n": 20_000, "figures": {"lost": 0, "ratio": 1.25}, "verdict": "pass"}

    assert as_table({"rows": [row]}).splitlines()[2] == "| T24 broker down | 20,000 | lost 0, ratio 1.25 | pass |"
