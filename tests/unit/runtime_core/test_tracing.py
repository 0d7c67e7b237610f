"""Lines of traces: kept ones only, never more than the limit a second, named for what they belong to."""

import json
import subprocess
import sys

import pytest
from structlog.testing import capture_logs

from deploy.local.merged_log import is_routine
from shared.runtime import tracing
from shared.runtime.tracing import LINES_PER_SECOND_MAX, TRACE_LOGGER, keeps, tell
from tests.factories.tracing import keeping_traces, trace_settings

TRACE_ID = "0" * 24 + "8" * 8


def test_every_trace_is_kept_on_one_machine_and_one_in_a_thousand_in_production() -> None:
    assert trace_settings(environment="local").trace_ratio == trace_settings(environment="test").trace_ratio == 1.0
    assert trace_settings().trace_ratio == 0.001
    assert trace_settings(trace_sample_ratio=0.0, environment="local").trace_ratio == 0.0
    assert trace_settings(trace_sample_ratio=0.5).trace_ratio == 0.5


def test_the_ratio_decides_what_is_kept() -> None:
    for ratio, is_kept in ((0.0, False), (0.4, False), (0.5, True), (1.0, True)):
        with keeping_traces(ratio):
            assert keeps(TRACE_ID) is is_kept


def test_lines_beyond_the_limit_of_a_second_are_left_out_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr("shared.runtime.tracing.time.monotonic", lambda: now)
    left_out = tracing._left_out._value.get()

    with capture_logs() as logs:
        for _ in range(LINES_PER_SECOND_MAX + 7):
            tell("step", trace_id=TRACE_ID)
        assert len(logs) == LINES_PER_SECOND_MAX
        assert tracing._left_out._value.get() - left_out == 7

        now += 1.0
        tell("step", trace_id=TRACE_ID)
        assert len(logs) == LINES_PER_SECOND_MAX + 1


def test_a_line_within_a_request_is_of_the_requests_own_trace_unless_it_says_another() -> None:
    program = f"""
import structlog
from shared.runtime.logging import configure_logging, get_logger
from shared.runtime.tracing import tell
configure_logging("clicks", "api")
with structlog.contextvars.bound_contextvars(request_id="{"a" * 32}"):
    get_logger("elsewhere").info("happened")
    tell("step", trace_id="{TRACE_ID}")
get_logger("elsewhere").info("idle")
"""
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    lines = [json.loads(line) for line in printed.splitlines()]

    assert [line.get("trace_id") for line in lines] == ["a" * 32, TRACE_ID, None]
    assert lines[1]["request_id"] == "a" * 32
    assert lines[1]["logger"] == TRACE_LOGGER
    assert [is_routine(line) for line in printed.splitlines()] == [False, True, False]
