"""Clocks, settings, health and logs of a process."""

import asyncio
import json
import logging
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from shared.runtime.clock import FileClock, SystemClock, clock_from
from shared.runtime.database import Tenant
from shared.runtime.health import Health
from shared.runtime.metrics import counter
from shared.runtime.settings import ProcessSettings

REPOSITORY = Path(__file__).parents[3]


def test_file_clock_stands_still_at_an_instant_and_follows_an_offset(tmp_path: Path) -> None:
    file = tmp_path / "clock"
    clock = FileClock(file)

    file.write_text("2026-01-31T23:59:59+01:00\n")
    assert clock.now() == datetime(2026, 1, 31, 22, 59, 59, tzinfo=UTC)

    file.write_text("+86400")
    assert abs(clock.now() - datetime.now(UTC) - timedelta(days=1)) < timedelta(seconds=5)

    file.write_text("2026-01-31T23:59:59")
    with pytest.raises(ValueError, match="time zone"):
        clock.now()


def test_clock_is_the_machines_unless_a_file_is_named() -> None:
    assert isinstance(clock_from(None), SystemClock)


def test_clock_file_is_refused_outside_tests() -> None:
    with pytest.raises(ValidationError, match="TRIBUTARY_CLOCK is for tests only"):
        ProcessSettings(environment="production", clock_file=Path("/clock"), broker="embedded")


def test_kafka_needs_a_log_id() -> None:
    with pytest.raises(ValidationError, match="LOG_ID"):
        ProcessSettings(broker="kafka", kafka_bootstrap_servers="localhost:9092", log_id="")


def test_settings_read_the_environment_and_hide_urls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIBUTARY_ENV", "test")
    monkeypatch.setenv("BROKER", "embedded")
    monkeypatch.setenv("DATABASE_URL_CLICKS", "postgresql://tributary_clicks:hush@localhost/tributary_clicks")
    settings = ProcessSettings()

    assert settings.environment == "test"
    assert settings.log_identity == "embedded"
    assert "hush" in settings.database_url("clicks")
    assert "hush" not in repr(settings)
    with pytest.raises(ValueError, match="DATABASE_URL_GATEWAY"):
        settings.database_url("gateway")


@pytest.mark.parametrize("ids", [(None, None), (1, 2)])
def test_tenant_is_exactly_one_party(ids: tuple[int | None, int | None]) -> None:
    with pytest.raises(ValueError, match="exactly one"):
        Tenant(merchant_id=ids[0], affiliate_id=ids[1])


async def test_health_tells_each_problem_and_hides_error_texts() -> None:
    health = Health()

    async def fine() -> str | None:
        return None

    async def failing() -> str | None:
        raise RuntimeError("password=hush")

    health.add_check("fine", fine)
    assert (await health.report()).ready
    health.add_check("failing", failing)
    report = await health.report()
    assert not report.ready
    assert report.problems == {"failing": "failed: RuntimeError"}


async def test_draining_process_is_not_ready() -> None:
    health = Health()
    health.start_draining()
    assert not (await health.report()).ready


async def test_slow_check_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.runtime.health.CHECK_TIMEOUT_SECONDS", 0.01)
    health = Health()

    async def slow() -> str | None:
        await asyncio.sleep(5)
        return None

    health.add_check("slow", slow)
    assert (await health.report()).problems == {"slow": "no answer in time"}


def test_metric_is_declared_once() -> None:
    counter("test_once", unit="things", meaning="only here")
    with pytest.raises(ValueError, match="twice"):
        counter("test_once", unit="things", meaning="only here")


def test_one_event_is_one_line_without_secrets() -> None:
    program = (
        "from shared.runtime.logging import configure_logging, get_logger; import logging;"
        "configure_logging('clicks', 'api');"
        "get_logger('x').info('event', text='a\\r\\nb\\x1b\\u2028', api_key='hush', n=1);"
        "logging.getLogger('library').warning('plain %s', 'words')"
    )
    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=REPOSITORY).stdout

    ours, theirs = (json.loads(line) for line in output.splitlines())
    assert output.isascii()
    assert b"hush" not in output
    assert (ours["event"], ours["service"], ours["role"], ours["level"]) == ("event", "clicks", "api", "info")
    assert (theirs["event"], theirs["level"]) == ("plain words", "warning")
    assert logging.getLogger("unrelated") is not None


@pytest.mark.parametrize(("environment", "code"), [("test", -9), ("production", 0)])
def test_failpoint_kills_in_tests_only_and_at_the_nth_time(environment: str, code: int) -> None:
    program = (
        "from shared.runtime.failpoint import failpoint\n"
        "failpoint('here'); print('once', flush=True); failpoint('there'); failpoint('here')"
    )
    process = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        cwd=REPOSITORY,
        env={**os.environ, "TRIBUTARY_ENV": environment, "FAILPOINT": "here:2"},
    )
    assert process.returncode == code
    assert process.stdout == b"once\n"
