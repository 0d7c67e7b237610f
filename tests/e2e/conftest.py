"""The whole platform, started as `make run` starts it, once on each event log."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.kafka_install import KafkaUnavailable, cache_folder, ensure_kafka, find_java, say_on_stderr
from tests.e2e.running_platform import RunningPlatform


@pytest.fixture(scope="session", params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def platform(request: pytest.FixtureRequest) -> Iterator[RunningPlatform]:
    """A running platform; a test that takes it runs on both event logs."""
    broker = request.param
    if broker == "kafka":
        require_kafka_or_skip()
    home = Path(tempfile.mkdtemp(prefix="tributary-e2e-"))
    home.chmod(0o711)
    running = RunningPlatform(home, broker)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        if os.environ.get("KEEP_E2E_FOLDER"):
            print(f"kept: {home}")
        else:
            shutil.rmtree(home, ignore_errors=True)


def require_kafka_or_skip() -> None:
    """Skip where Apache Kafka cannot run, unless REQUIRE_APACHE_KAFKA is set."""
    try:
        find_java()
        ensure_kafka(cache_folder(), say=say_on_stderr)
    except KafkaUnavailable as reason:
        if os.environ.get("REQUIRE_APACHE_KAFKA"):
            raise
        pytest.skip(f"without Apache Kafka: {reason.what}")
