"""Every start that cannot work ends in plain words, and the doctor would have said so (T39)."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli.main import app
from tests.faults.cold_start import BAD_STARTS, BadStart, environment, is_possible, judge_bad_start


@pytest.mark.parametrize("bad", BAD_STARTS, ids=lambda bad: bad.name)
def test_a_start_that_cannot_work_says_so_and_what_to_do(bad: BadStart, tmp_path: Path) -> None:
    if not is_possible(bad):
        pytest.skip(f"{bad.name}: needs root here")

    ended = judge_bad_start(bad, tmp_path / "home")

    assert ended.broken == []
    assert "pass-word" not in "".join(ended.lines)


FORESEEN = [bad for bad in BAD_STARTS if bad.doctor_finds]


@pytest.mark.parametrize("bad", FORESEEN, ids=lambda bad: bad.name)
def test_the_doctor_finds_it_beforehand(bad: BadStart, tmp_path: Path) -> None:
    if not is_possible(bad):
        pytest.skip(f"{bad.name}: needs root here")
    home = tmp_path / "home"

    with bad.prepare(home) as told:
        ran = CliRunner().invoke(app, ["doctor", "--json"], env={**environment(home), **told})

    found = {finding["check"]: finding for finding in json.loads(ran.stdout)}[bad.doctor_finds]
    assert (ran.exit_code, found["verdict"]) == (1, "fail")
    assert found["remedy"]
