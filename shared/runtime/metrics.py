"""Metrics, each declared once with its unit, labels and meaning, so that the list is the documentation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the catalogue. unit: last in the name, as `seconds` or `records`. labels: never unbounded values."""

    name: str
    unit: str
    meaning: str
    labels: tuple[str, ...]


CATALOGUE: Final[dict[str, Metric]] = {}


def _declare(name: str, unit: str, meaning: str, labels: Sequence[str]) -> str:
    if name in CATALOGUE:
        raise ValueError(f"metric {name} is declared twice")
    CATALOGUE[name] = Metric(name=name, unit=unit, meaning=meaning, labels=tuple(labels))
    return f"tributary_{name}_{unit}"


def counter(name: str, *, unit: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    """Declare a count that only grows; exported as `tributary_{name}_{unit}_total`."""
    return Counter(_declare(name, unit, meaning, labels), meaning, labels)


def gauge(name: str, *, unit: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
    """Declare a value that goes up and down; exported as `tributary_{name}_{unit}`."""
    return Gauge(_declare(name, unit, meaning, labels), meaning, labels)


def histogram(
    name: str, *, unit: str, meaning: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS_BUCKETS
) -> Histogram:
    """Declare a distribution; exported as `tributary_{name}_{unit}_bucket`, `_sum` and `_count`."""
    return Histogram(_declare(name, unit, meaning, labels), meaning, labels, buckets=tuple(buckets))


def render_metrics() -> bytes:
    """Everything measured so far, in the text form that Prometheus reads (content type: CONTENT_TYPE)."""
    return generate_latest(REGISTRY)
