"""What `ps` says of processes that are there, gone, or not ready."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import ps
from deploy.cli.main import app
from deploy.cli.output import print_table
from deploy.cli.processes import Running, children_of
from deploy.local.problem import PlainProblem
from deploy.local.state_folder import StateFolder

READY = Running("clicks-api", 11, 20_001)
DRAINING = Running("clicks-worker", 12, 20_002, "relay: log down")


def _stub(monkeypatch: pytest.MonkeyPatch, *found: Running) -> None:
    def find(_state: StateFolder) -> list[Running]:
        return list(found)

    monkeypatch.setattr(ps, "find_running", find)


def test_all_ready_is_exit_0(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stub(monkeypatch, READY)

    result = CliRunner().invoke(app, ["ps"])

    assert result.exit_code == 0
    assert result.stdout.splitlines()[1].split() == ["clicks-api", "11", "20001", "ready"]


def test_one_that_is_not_ready_is_exit_1_with_its_reason(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _stub(monkeypatch, READY, DRAINING)

    result = CliRunner().invoke(app, ["ps", "--json"])

    assert result.exit_code == 1
    assert [(row["name"], row["ready"], row["why_not"]) for row in json.loads(result.stdout)] == [
        ("clicks-api", True, ""),
        ("clicks-worker", False, "relay: log down"),
    ]


def test_a_text_cannot_command_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("REASON",), [("\x1b]0;owned\x07[bold]as it is[/bold]",)])

    shown = capsys.readouterr().out
    assert "\x1b" not in shown
    assert "[bold]as it is[/bold]" in shown


@pytest.mark.parametrize("has_proc", [True, False])
def test_children_are_found_with_and_without_proc(tmp_path: Path, has_proc: bool) -> None:
    if has_proc and not Path("/proc/self").exists():
        pytest.skip("there is no /proc here")
    if not has_proc and shutil.which("ps") is None:
        pytest.skip("there is no program ps here")
    proc = Path("/proc") if has_proc else tmp_path
    with subprocess.Popen([sys.executable, "-c", "input()", "a-mark"], stdin=subprocess.PIPE) as child:
        found = {one.pid: one.arguments for one in children_of(os.getpid(), proc=proc)}
        child.communicate(b"\n")

    assert found[child.pid][-1] == "a-mark"


def test_without_any_way_to_see_processes_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(PlainProblem, match="cannot be seen here"):
        children_of(os.getpid(), proc=tmp_path)
