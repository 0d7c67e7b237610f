"""`tributary rates`: the bank's file in, once and whole, with its entry in the audit chain; which rate holds."""

import asyncio
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.exchange_rates import fresh_day
from tests.integration.audit.chain import Chain


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def _file(folder: Path, day: date, rate: str = "1.25") -> str:
    file = folder / "eurofxref.csv"
    file.write_text(f"Date, USD, JPY, CYP, \n{day}, {rate}, N/A, 0.58, \n")
    return str(file)


@pytest.fixture
def url(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> str:
    found = postgres.migrate("commissions")
    monkeypatch.setenv("DATABASE_URL_COMMISSIONS", found)
    return found


def _rows(url: str, day: date) -> list[Any]:
    async def ask() -> list[Any]:
        database = Database(url, role="commissions_staff", pool_size=1)
        try:
            async with database.reading() as connection:
                result = await connection.exec_driver_sql(
                    "SELECT rate::text, actor, reason_code FROM exchange_rate WHERE as_of = $1 ORDER BY number", (day,)
                )
                return [tuple(row) for row in result]
        finally:
            await database.close()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(ask())


def test_a_file_is_recorded_once_and_its_rate_shown(url: str, postgres: TestPostgres, tmp_path: Path) -> None:
    day = fresh_day()
    file = _file(tmp_path, day)

    tried = _run("rates", "import", file, "--dry-run", "--json")
    nothing = _rows(url, day)
    first = _run("rates", "import", file, "--json")
    again = _run("rates", "import", file)
    shown = _run("rates", "show", "USD", "EUR", "--on", day.isoformat(), "--json")

    assert (tried.exit_code, nothing) == (0, []), tried.output
    assert json.loads(tried.stdout)["recorded"] == 1
    said = json.loads(first.stdout)
    assert (said["recorded"], said["unknown_currencies"], said["from"]) == (1, ["CYP"], day.isoformat())
    assert "0 rates recorded" in again.stdout
    assert "1 known before" in again.stdout
    assert "CYP" in again.stdout
    assert json.loads(shown.stdout)["rate"] == "0.8"
    assert _rows(url, day) == [("1.25", "operator", None)]
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        entries = runner.run(
            Chain(postgres, "commissions").query(
                "SELECT role, action FROM audit_entry WHERE object_id = $1", said["import_id"]
            )
        )
    assert [tuple(entry) for entry in entries] == [("operator", "tributary rates import")]


def test_a_correction_needs_its_reason(url: str, tmp_path: Path) -> None:
    day = fresh_day()
    _run("rates", "import", _file(tmp_path, day))
    changed = _file(tmp_path, day, "1.26")

    refused = _run("rates", "import", changed)
    taken = _run("rates", "import", changed, "--reason", "published_wrong")
    odd = _run("rates", "import", changed, "--reason", "Because!")

    assert refused.exit_code == 1
    assert "--reason" in refused.stderr
    assert "1 of them corrections" in taken.stdout
    assert odd.exit_code == 2
    assert [row[2] for row in _rows(url, day)] == [None, "published_wrong"]


@pytest.mark.usefixtures("url")
def test_what_is_no_file_of_the_banks_is_refused_with_its_line(tmp_path: Path) -> None:
    day = fresh_day()

    refused = _run("rates", "import", _file(tmp_path, day, "free"))
    missing = _run("rates", "import", str(tmp_path / "none.csv"))
    unknown = _run("rates", "show", "USD", "EUR", "--on", day.isoformat())

    assert (refused.exit_code, missing.exit_code, unknown.exit_code) == (1, 2, 1)
    assert "line 2" in refused.stderr
    assert "free" not in refused.stderr
    assert "Traceback" not in refused.output + missing.output + unknown.output
