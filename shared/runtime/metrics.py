"""Metrics, each declared once with its unit, labels and meaning, so that the list is the documentation.

`make metrics-page` writes the list of all of them to docs/metrics.md.
"""

import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    GC_COLLECTOR,
    PLATFORM_COLLECTOR,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

SECONDS_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

PREFIX: Final = "tributary_"

LABELS: Final[dict[str, str]] = {
    "answer": "how a referral link was answered: redirected, json, head, prefetch, refused, failed",
    "attributed_by": "what credited a conversion: click_id, customer, billable_clicks, or none",
    "balance": "how a prepaid balance stands: ok, low, exhausted",
    "consumer": "a consumer's name, such as commissions.conversions",
    "currency": "ISO 4217 code",
    "fate": "what became of a denial on its way into the audit chain: written, ordinary, summed_up, lost",
    "home": "where clicks become durable: kafka, outbox",
    "keyring": "a keyring file's name without its ending: click, principal, sealing",
    "kind": "kind of a ledger transaction, such as accrual or payout",
    "method": "HTTP method, or other",
    "outcome": "an outcome's public name, from the numbered list of the service",
    "partition": "partition of a topic, from 0",
    "policy": "what a rate limit counts by",
    "pool": "connections of one database role in this process, such as conversions-intake",
    "process": "api or worker",
    "queue": "a bounded place's name, such as click_buffer or proxy_redirects",
    "reason": "why something waits, from a fixed list",
    "route": "a route's template, never a path, or unmatched",
    "service": "gateway, clicks, conversions, commissions",
    "state": "a state of a payout's line: draft, approved, dropped, cancelled, exported, settled, failed, returned",
    "status": "HTTP status of the answer, or a conversion's status",
    "task": "a background task's name, such as `clicks relay`",
    "topic": "a topic's name, from topics.py",
    "verdict": "whether an offer pays for a click: valid, not_valid",
    "version": "version of the running distribution",
    "what": "what expires by time: a table's name, dead_letters, parked_events",
}
"""Every label there is, with the values it takes: few, and fixed by our code; never a tenant's or a person's."""

Kind = Literal["counter", "gauge", "histogram"]

_SUFFIXES: Final[dict[Kind, str]] = {"counter": "_total", "gauge": "", "histogram": ""}


@dataclass(frozen=True, slots=True)
class Metric:
    """One line of the catalogue.

    unit: last in the name, as `seconds` or `records`. labels: of LABELS. module: what declares it.
    """

    name: str
    kind: Kind
    unit: str
    meaning: str
    labels: tuple[str, ...]
    module: str

    @property
    def exported_name(self) -> str:
        """The name that Prometheus stores; a histogram's series add `_bucket`, `_sum` and `_count` to it."""
        return f"{PREFIX}{self.name}_{self.unit}{_SUFFIXES[self.kind]}"


CATALOGUE: Final[dict[str, Metric]] = {}
"""Every metric declared so far, by its exported name."""

PROCESS_METRICS: Final[dict[str, tuple[str, str]]] = {
    "process_virtual_memory_bytes": ("bytes", "Address space of the process"),
    "process_resident_memory_bytes": ("bytes", "Memory the process really has"),
    "process_start_time_seconds": ("seconds", "When the process started, since 1970"),
    "process_cpu_seconds_total": ("seconds", "Processor time used"),
    "process_open_fds": ("descriptors", "Open files and sockets"),
    "process_max_fds": ("descriptors", "How many of them there may be"),
}
"""Unit and meaning of what prometheus-client adds on Linux."""

disable_created_metrics()  # type: ignore[no-untyped-call]
for _collector in (GC_COLLECTOR, PLATFORM_COLLECTOR):
    REGISTRY.unregister(_collector)


def _declare(name: str, kind: Kind, unit: str, meaning: str, labels: Sequence[str]) -> str:
    module = sys._getframe(2).f_globals["__name__"]
    metric = Metric(name=name, kind=kind, unit=unit, meaning=meaning, labels=tuple(labels), module=module)
    if metric.exported_name in CATALOGUE:
        raise ValueError(f"metric {metric.exported_name} is declared twice")
    for label in labels:
        if label not in LABELS:
            raise ValueError(f"metric {name}: say in LABELS which few values {label} takes")
    CATALOGUE[metric.exported_name] = metric
    return f"{PREFIX}{name}_{unit}"


def counter(name: str, *, unit: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
    """Declare a count that only grows; exported as `tributary_{name}_{unit}_total`."""
    return Counter(_declare(name, "counter", unit, meaning, labels), meaning, labels)


def gauge(name: str, *, unit: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
    """Declare a value that goes up and down; exported as `tributary_{name}_{unit}`."""
    return Gauge(_declare(name, "gauge", unit, meaning, labels), meaning, labels)


def histogram(
    name: str, *, unit: str, meaning: str, labels: Sequence[str] = (), buckets: Sequence[float] = SECONDS_BUCKETS
) -> Histogram:
    """Declare a distribution; exported as `tributary_{name}_{unit}_bucket`, `_sum` and `_count`."""
    return Histogram(_declare(name, "histogram", unit, meaning, labels), meaning, labels, buckets=tuple(buckets))


_Watched = TypeVar("_Watched")


class Watched(Generic[_Watched]):
    """Things whose state is read when metrics are rendered, and not before. Keeps none of them alive."""

    def __init__(self) -> None:
        self._members: weakref.WeakSet[_Watched] = weakref.WeakSet()

    def add(self, member: _Watched) -> None:
        """Read this one as well."""
        self._members.add(member)

    def __iter__(self) -> Iterator[_Watched]:
        return iter(list(self._members))


_before_rendering: Final[list[Callable[[], None]]] = []


def before_rendering(refresh: Callable[[], None]) -> Callable[[], None]:
    """Decorate what sets gauges from `Watched` things; it is called at each rendering and must not block."""
    _before_rendering.append(refresh)
    return refresh


def render_metrics() -> bytes:
    """Everything measured so far, in the text form that Prometheus reads (content type: CONTENT_TYPE)."""
    for refresh in _before_rendering:
        refresh()
    return generate_latest(REGISTRY)
