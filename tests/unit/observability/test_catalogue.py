"""The metric catalogue: complete, bounded, and shown as it is."""

import subprocess
import sys
from pathlib import Path

import pytest

from shared.runtime.build_info import VERSION
from shared.runtime.metrics import counter, gauge

ROOT = Path(__file__).resolve().parents[3]


def test_the_page_is_what_the_code_declares() -> None:
    """In a process of its own: tests declare metrics too."""
    command = [sys.executable, "-m", "deploy.observability.metrics_page", "--check"]
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert checked.returncode == 0, checked.stderr


def test_a_label_whose_values_nobody_bounded_is_refused() -> None:
    with pytest.raises(ValueError, match="LABELS"):
        counter("test_by_merchant", unit="things", meaning="one series a tenant", labels=["merchant_id"])


def test_a_unit_makes_another_metric_but_not_another_meaning() -> None:
    gauge("test_twice", unit="records", meaning="how many")
    gauge("test_twice", unit="seconds", meaning="how old")

    with pytest.raises(ValueError, match="twice"):
        gauge("test_twice", unit="seconds", meaning="how long")


def test_the_version_shown_is_the_one_that_is_built() -> None:
    assert f'\nversion = "{VERSION}"\n' in (ROOT / "pyproject.toml").read_text()
