"""`make demo` against the whole platform, on both event logs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.running_platform import CHECKOUT, RunningPlatform

DEMO_SECONDS_MAX = 300


@pytest.mark.timeout(DEMO_SECONDS_MAX)
def test_the_demo_finds_no_difference_to_the_cent(platform: RunningPlatform, tmp_path: Path) -> None:
    demo = start_demo(platform, tmp_path / "history.jsonl")

    output, _ = demo.communicate(timeout=DEMO_SECONDS_MAX)

    assert demo.returncode == 0, output.decode(errors="replace")[-8_000:]


def start_demo(platform: RunningPlatform, history: Path, *options: str) -> subprocess.Popen[bytes]:
    """The driver in a process of its own, its output caught."""
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "tests.demo",
            f"--public-url={platform.public_url}",
            f"--admin-key={platform.admin_key}",
            f"--history={history}",
            *options,
        ],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
