"""What the running processes export, read as Prometheus reads it."""

from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.e2e.running_platform import RunningPlatform


def metrics_port(platform: RunningPlatform, name: str) -> int:
    """The port of a process, as it was told."""
    environment = Path(f"/proc/{platform.pid(name)}/environ").read_bytes().decode().split("\0")
    return int(dict(entry.partition("=")[::2] for entry in environment if entry)["PORT"])


def scrape(platform: RunningPlatform, name: str) -> Iterator[Sample]:
    """Every sample that a process shows now."""
    with urlopen(f"http://127.0.0.1:{metrics_port(platform, name)}/metrics", timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        for family in families:
            yield from family.samples


def value_of(platform: RunningPlatform, process: str, series: str, **labels: str) -> float:
    """The sum of a series' samples that have these labels; 0 where there is none."""
    return sum(
        sample.value
        for sample in scrape(platform, process)
        if sample.name == series and labels.items() <= sample.labels.items()
    )
