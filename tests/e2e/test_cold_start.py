"""The first start of all, under hard conditions: an empty folder, no network but loopback, not root (T39)."""

from pathlib import Path

import pytest

from tests.faults.cold_start import READY_SECONDS_MAX, cold_start


@pytest.mark.timeout(READY_SECONDS_MAX + 60)
def test_an_empty_folder_without_network_and_without_root_is_enough(tmp_path_factory: pytest.TempPathFactory) -> None:
    home: Path = tmp_path_factory.mktemp("cold") / "home"

    started = cold_start(home)

    assert started.broken == []
    print(
        f"cold start, {started.conditions}: ready after {started.ready_seconds:.1f} s, stopped in "
        f"{started.stop_seconds:.1f} s"
    )
