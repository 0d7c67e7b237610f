"""0 ok, 1 a problem, 2 could not look: and the reason in words, on standard error."""

import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import main as cli
from deploy.cli.main import app
from deploy.local import main as local
from deploy.local.problem import PlainProblem

COMMANDS = (
    "dead-letters",
    "replay",
    "verify",
    "keys",
    "keyring",
    "migrate",
    "topics",
    "openapi",
    "ps",
    "doctor",
    "up",
    "down",
)


@pytest.mark.parametrize(
    "arguments",
    [
        ("ps",),
        ("verify",),
        ("dead-letters", "list", "clicks"),
        ("dead-letters", "replay", "clicks", "1"),
        ("replay", "clicks.catalogue", "--yes"),
        ("keyring", "show", "click"),
        ("keys", "list"),
        ("keys", "create", "finance"),
        ("migrate", "--check"),
        ("migrate",),
        ("topics", "list"),
    ],
)
def test_where_nothing_runs_nothing_can_be_looked_at(home: Path, arguments: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, arguments)

    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.strip()
    assert not home.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ("dead-letters", "list", "payouts"),
        ("replay", "payouts.x"),
        ("no-such",),
        ("keys", "create", "owner"),
        ("keys", "create", "finance", "--label", "two\nlines"),
        ("migrate", "payouts"),
    ],
)
def test_a_wrong_call_is_exit_2(home: Path, arguments: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, arguments).exit_code == 2


def test_an_unreachable_database_is_exit_2_without_its_address(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL_CLICKS", "postgresql://someone:pass-word@127.0.0.1:1/clicks")

    result = CliRunner().invoke(app, ["dead-letters", "list", "clicks"])

    assert result.exit_code == 2
    assert "Could not look" in result.stderr
    assert "pass-word" not in result.output


@pytest.mark.parametrize("exit_code", [0, 1, 2])
def test_verify_exits_as_the_proof_does(monkeypatch: pytest.MonkeyPatch, exit_code: int) -> None:
    def answer(*options: str) -> subprocess.CompletedProcess[str]:
        assert options == ("--json",)
        return subprocess.CompletedProcess((), exit_code)

    monkeypatch.setattr(local, "run_verification", answer)

    assert CliRunner().invoke(app, ["verify", "--json"]).exit_code == exit_code


@pytest.mark.parametrize("port", ["0", "any"])
def test_the_proof_has_no_port_and_minds_none(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], port: str
) -> None:
    """`PORT` is the network's, and 0 its word for any: the proof gets as far as the database, here none."""
    monkeypatch.setenv("DATABASE_URL_COMMISSIONS", "postgresql://someone:pass-word@127.0.0.1:1/commissions")
    monkeypatch.setenv("PORT", port)

    assert local.run_verification().returncode == 2

    said = capfd.readouterr().err
    assert said.startswith("the ledger could not be looked at: ")
    assert "PORT" not in said
    assert "Validation" not in said


def test_a_proof_with_a_setting_that_cannot_be_used_names_it_and_not_its_value(
    home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_URL_COMMISSIONS", "postgresql://someone:pass-word@127.0.0.1:1/commissions")
    monkeypatch.setenv("LOG_LEVEL", "pass-word")

    assert local.run_verification().returncode == 2

    said = capfd.readouterr().err
    assert said.startswith("the ledger could not be looked at: LOG_LEVEL: ")
    assert "pass-word" not in said


def test_what_keeps_the_network_from_starting_is_exit_1(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise PlainProblem("Port 8080 is taken.", "Choose another.")

    monkeypatch.setattr(local, "up", refuse)

    result = CliRunner().invoke(app, ["up"])

    assert result.exit_code == 1
    assert result.stderr == "Port 8080 is taken.\nChoose another.\n"


def test_down_is_ok_where_nothing_runs(home: Path) -> None:
    result = CliRunner().invoke(app, ["down"])

    assert result.exit_code == 0
    assert "Nothing runs here" in result.stdout


def test_every_command_is_in_the_page() -> None:
    page = (Path(cli.__file__).parent / "README.md").read_text()
    shown = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "160"}).stdout

    for name in COMMANDS:
        assert name in shown
        assert f"`{name}" in page
