"""What the doctor finds on a machine, and that a fail is exit 1."""

import json
import shutil
import socket
from datetime import timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from deploy.cli import machine_checks
from deploy.cli.finding import Verdict
from deploy.cli.main import app
from deploy.cli.network_checks import Seen, check_clock, check_log, check_migration
from deploy.local.ports import free_port
from deploy.local.secret_files import ensure_secret_files
from deploy.local.state_folder import StateFolder


@pytest.fixture
def free_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """PORT: one that nobody has."""
    monkeypatch.setenv("PORT", str(free_port()))


def _doctor() -> tuple[int, dict[str, dict[str, str]]]:
    result = CliRunner().invoke(app, ["doctor", "--json"])
    return result.exit_code, {finding["check"]: finding for finding in json.loads(result.stdout)}


def test_a_fresh_machine_is_well(home: Path, free_door: None) -> None:
    exit_code, findings = _doctor()

    assert exit_code == 0
    assert findings["python"]["verdict"] == "ok"
    assert findings["keys"]["verdict"] == "warn"
    assert findings["network"]["verdict"] == "warn"
    assert not home.exists()


def test_a_taken_port_fails_and_names_the_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("PORT", str(other.getsockname()[1]))
        exit_code, findings = _doctor()

    assert exit_code == 1
    assert findings["port of gateway-api"]["verdict"] == "fail"
    assert "PORT" in findings["port of gateway-api"]["remedy"]


def test_key_files_must_be_there_closed_and_usable(home: Path, free_door: None) -> None:
    state = StateFolder(home)
    state.create()
    ensure_secret_files(state.keys)
    (state.keys / "click.json").chmod(0o644)
    (state.keys / "principal.json").write_text("{}")
    (state.keys / "privacy_key").unlink()

    exit_code, findings = _doctor()

    assert exit_code == 1
    assert findings["key sealing.json"]["verdict"] == "ok"
    assert "chmod 600" in findings["key click.json"]["remedy"]
    assert findings["key principal.json"]["verdict"] == "fail"
    assert findings["key privacy_key"]["says"] == "missing"


@pytest.mark.parametrize(
    ("free_bytes", "verdict"), [(1 << 29, Verdict.FAIL), (3 << 30, Verdict.WARN), (9 << 30, Verdict.OK)]
)
def test_room_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_bytes: int, verdict: Verdict) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=free_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)

    assert machine_checks.check_disk(StateFolder(tmp_path / "not" / "there")).verdict is verdict


@pytest.mark.parametrize(("skew_seconds", "verdict"), [(0.1, "ok"), (-3, "warn"), (61, "fail"), (-61, "fail")])
def test_clocks_that_disagree(skew_seconds: float, verdict: str) -> None:
    assert check_clock(timedelta(seconds=skew_seconds)).verdict == verdict


def _seen(*log_ids: str, revision: str | None = "0001") -> Seen:
    return Seen("clicks", revision, timedelta(), frozenset(log_ids))


def test_positions_of_another_log_fail(home: Path) -> None:
    state = StateFolder(home)
    state.create()
    state.broker_identity.write_text("embedded\n")

    assert check_log(state, [_seen("embedded"), _seen()]).verdict is Verdict.OK
    stranger = check_log(state, [_seen("embedded", "cluster-1")])
    assert stranger.verdict is Verdict.FAIL
    assert "cluster-1" in stranger.says


def test_a_kafka_that_does_not_answer_fails(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_ID", "cluster-1")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")

    assert check_log(StateFolder(home), [_seen()]).verdict is Verdict.FAIL


def test_a_database_behind_its_migrations_fails() -> None:
    behind = check_migration(_seen(revision=None))

    assert behind.verdict is Verdict.FAIL
    assert "tributary migrate clicks" in behind.remedy


def test_a_database_of_a_newer_version_fails_and_is_not_migrated() -> None:
    newer = check_migration(_seen(revision="9999"))

    assert newer.verdict is Verdict.FAIL
    assert "version that migrated it" in newer.remedy
