"""The document as the platform serves it, and one seeded network for all of its operations."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest

from tests.e2e.interface.exchange import Judge
from tests.e2e.interface.world import World
from tests.e2e.running_platform import RunningPlatform

PATIENT: Final = {f"LIMIT_FAILURE_{part}": "10000" for part in ("PER_SECOND", "BURST")}
"""Hundreds of strangers come from one address here."""


@pytest.fixture(scope="package")
def platform() -> Iterator[RunningPlatform]:
    """A platform for these tests alone, on the embedded log: the doors are the same on the other."""
    home = Path(tempfile.mkdtemp(prefix="tributary-interface-"))
    home.chmod(0o711)
    running = RunningPlatform(home, "embedded", PATIENT)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="package")
def served(platform: RunningPlatform) -> dict[str, Any]:
    """The document at /openapi.json."""
    document: dict[str, Any] = httpx.get(f"{platform.public_url}/openapi.json", trust_env=False).json()
    return document


@pytest.fixture(scope="package")
def world(platform: RunningPlatform) -> World:
    """The seeded network."""
    return World(platform)


@pytest.fixture(scope="package")
def judge(served: dict[str, Any]) -> Judge:
    """Compares answers with the document."""
    return Judge(served)
