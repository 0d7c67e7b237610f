"""Every metric that any process declares, read from the code."""

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import services
import shared
from shared.runtime.metrics import CATALOGUE, PROCESS_METRICS, Metric

_SKIPPED: Final = ".migrations"
"""Importing these runs them."""

_HISTOGRAM_SERIES: Final = ("_bucket", "_sum", "_count")


@dataclass(frozen=True, slots=True)
class Series:
    """One name as Prometheus stores it, and the labels it has. kind: counter, gauge or histogram."""

    name: str
    kind: str
    labels: frozenset[str]


def declared_metrics() -> Sequence[Metric]:
    """Every metric of the product, by exported name. Imports every module of every service."""
    for package in (shared, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if _SKIPPED not in module.name:
                importlib.import_module(module.name)
    products = (shared.__name__, services.__name__)
    found = [metric for metric in CATALOGUE.values() if metric.module.partition(".")[0] in products]
    return sorted(found, key=lambda metric: metric.exported_name)


def exported_series() -> dict[str, Series]:
    """Every series that a scrape can bring, by name: what queries may ask for."""
    series = {}
    for name in PROCESS_METRICS:
        series[name] = Series(name, "counter" if name.endswith("_total") else "gauge", frozenset())
    for metric in declared_metrics():
        labels = frozenset(metric.labels)
        if metric.kind != "histogram":
            series[metric.exported_name] = Series(metric.exported_name, metric.kind, labels)
            continue
        for suffix in _HISTOGRAM_SERIES:
            own = labels | {"le"} if suffix == "_bucket" else labels
            series[metric.exported_name + suffix] = Series(metric.exported_name + suffix, "histogram", own)
    return series
