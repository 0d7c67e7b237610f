"""kill -9 each process in turn while the demo runs: PostgreSQL and Kafka too. Not a cent is lost or counted twice."""

import threading
from pathlib import Path

import pytest

from tests.e2e.running_platform import RunningPlatform, wait_until
from tests.e2e.test_demo import start_demo

SECONDS_PER_KILL = 5
SECONDS_MAX = 420


@pytest.mark.timeout(SECONDS_MAX)
def test_the_demo_holds_while_each_process_is_killed_in_turn(platform: RunningPlatform, tmp_path: Path) -> None:
    names = platform.process_names
    history = tmp_path / "history.jsonl"
    demo = start_demo(platform, history, f"--spread-seconds={SECONDS_PER_KILL * (len(names) + 1)}", "--seed=9")
    outputs: list[bytes] = []
    reader = threading.Thread(target=lambda: outputs.append(demo.communicate()[0]))
    reader.start()
    try:
        wait_until(lambda: _clicks_in(history) > 0 or demo.poll() is not None, 120, "the demo clicks")
        for name in names:
            clicks_before = _clicks_in(history)
            platform.kill9(name)
            wait_until(
                lambda before=clicks_before: _clicks_in(history) > before + 50 or demo.poll() is not None,  # type: ignore[misc]
                120,
                f"the demo goes on after {name} was killed",
            )
        assert demo.poll() is None, "the demo ended before everything had been killed"
    finally:
        reader.join(SECONDS_MAX)
        if demo.poll() is None:
            demo.kill()

    assert demo.returncode == 0, outputs[0].decode(errors="replace")[-8_000:]


def _clicks_in(history: Path) -> int:
    return history.read_bytes().count(b'"kind":"click_get"') if history.exists() else 0
