"""Rotating a key from the command line: in the only order that loses nothing, and without showing a secret."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.cli import keyring_spread
from deploy.cli.main import app
from shared.runtime.keyring import Keyring, add_key, create_keyring_file

LONG_AGO = 1_000_000_000


def _run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["keyring", *arguments], input=answer)


@pytest.fixture
def path(home: Path) -> Path:
    """The click keyring with key 1, last changed long ago."""
    path = home / "keys" / "click.json"
    path.parent.mkdir(parents=True)
    create_keyring_file(path)
    os.utime(path, (LONG_AGO, LONG_AGO))
    return path


def test_a_whole_rotation(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr("time.sleep", waits.append)

    codes = [
        _run("add", "click").exit_code,
        _run("promote", "click", "2").exit_code,
        _run("retire", "click", "1", "--not-after", "2020-01-01T00:00:00Z", "--yes").exit_code,
    ]
    shown = json.loads(_run("show", "click", "--json").stdout)

    assert codes == [0, 0, 0]
    assert shown["keys"] == [
        {"id": 1, "signs": False, "verifies": False, "not_after": "2020-01-01T00:00:00Z"},
        {"id": 2, "signs": True, "verifies": True, "not_after": None},
    ]
    assert len(waits) == 1  # between adding and promoting, and nowhere else
    assert 0 < waits[0] <= keyring_spread.SPREAD_SECONDS


def test_promoting_a_key_that_is_known_for_long_does_not_wait(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_key(path)
    os.utime(path, (LONG_AGO, LONG_AGO))
    monkeypatch.setattr("time.sleep", lambda _seconds: pytest.fail("waited"))

    assert _run("promote", "click", "2").exit_code == 0
    assert Keyring.load(path).signing.id == 2


def test_no_output_shows_a_secret(path: Path) -> None:
    outputs = [
        _run(*arguments).output
        for arguments in (("add", "click"), ("add", "click", "--json"), ("show", "click"), ("show", "click", "--json"))
    ]

    for key in json.loads(path.read_text())["keys"].values():
        assert all(key["secret"] not in output for output in outputs)


def test_the_signing_key_is_not_retired(path: Path) -> None:
    before = path.read_bytes()

    result = _run("retire", "click", "1", "--not-after", "2030-01-01", "--yes")

    assert result.exit_code == 1
    assert "promote another first" in result.stderr
    assert path.read_bytes() == before


def test_retiring_asks_first_and_says_what_it_costs(path: Path) -> None:
    add_key(path)
    before = path.read_bytes()

    result = _run("retire", "click", "2", "--not-after", "2030-01-01", answer="n\n")

    assert result.exit_code == 1
    assert "earn nothing" in result.output
    assert path.read_bytes() == before


def test_a_key_that_ends_is_not_promoted(path: Path) -> None:
    add_key(path)
    _run("retire", "click", "2", "--not-after", "2020-01-01", "--yes")

    result = _run("promote", "click", "2")

    assert result.exit_code == 1
    assert "stop verifying" in result.stderr
    assert Keyring.load(path).signing.id == 1


def test_an_unknown_key_is_named_with_those_there_are(path: Path) -> None:
    result = _run("promote", "click", "7")

    assert result.exit_code == 1
    assert "no key 7; there are 1" in result.stderr


def test_a_broken_file_is_exit_2_and_stays_as_it_is(path: Path) -> None:
    path.write_text("{")

    results = [_run("show", "click"), _run("add", "click")]

    assert [result.exit_code for result in results] == [2, 2]
    assert path.read_text() == "{"


def test_the_variable_that_processes_read_wins(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = tmp_path / "elsewhere.json"
    create_keyring_file(elsewhere)
    monkeypatch.setenv("CLICK_KEYRING_FILE", str(elsewhere))

    _run("add", "click")

    assert len(json.loads(elsewhere.read_text())["keys"]) == 2
    assert len(json.loads(path.read_text())["keys"]) == 1
