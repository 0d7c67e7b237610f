"""`python -m deploy.observability.metrics_page [--check]`: write docs/metrics.md from the code, or say that it differs.

Exit code 0: written, or the same. 1: --check found a difference.
"""

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from deploy.observability.catalogue import declared_metrics
from shared.runtime.metrics import LABELS, PROCESS_METRICS, Metric

PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "metrics.md"
_INTRODUCTION: Final = """\
# Metrics

Made from the code by `make metrics-page`; do not edit. Every process serves those it has on `/metrics`; the gateway's
is closed to the world outside. A histogram adds `_bucket`, `_sum` and `_count` to its name. Alerts and dashboards on
top of them are in [deploy/observability](../deploy/observability/README.md).
"""
_HEADINGS: Final = {
    "shared": "Every service",
    "clicks": "clicks",
    "conversions": "conversions",
    "commissions": "commissions",
    "gateway": "gateway",
}


def render_page() -> str:
    """The page, from what the code declares."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield _INTRODUCTION
    by_owner = sorted(
        declared_metrics(), key=lambda metric: (list(_HEADINGS).index(_owner(metric)), metric.exported_name)
    )
    for owner, metrics in groupby(by_owner, key=_owner):
        yield f"## {_HEADINGS[owner]}\n"
        yield "| metric | kind | unit | labels | meaning |\n|---|---|---|---|---|"
        for metric in metrics:
            labels = ", ".join(f"`{label}`" for label in metric.labels)
            yield f"| `{metric.exported_name}` | {metric.kind} | {metric.unit} | {labels} | {metric.meaning} |"
        yield ""
    yield "## Every process on Linux\n"
    yield "| metric | unit | meaning |\n|---|---|---|"
    for name, (unit, meaning) in PROCESS_METRICS.items():
        yield f"| `{name}` | {unit} | {meaning} |"
    yield "\n## Labels\n\nFew values each, fixed by the code: never a tenant, a person, an address or a path.\n"
    yield "| label | values |\n|---|---|"
    for label, values in sorted(LABELS.items()):
        yield f"| `{label}` | {values} |"


def _owner(metric: Metric) -> str:
    root, _, rest = metric.module.partition(".")
    return root if root == "shared" else rest.partition(".")[0]


def main(arguments: Sequence[str]) -> int:
    """Write the page, or compare it."""
    page = render_page()
    if "--check" not in arguments:
        PAGE.write_text(page)
        return 0
    if PAGE.exists() and PAGE.read_text() == page:
        return 0
    sys.stderr.write("docs/metrics.md is not what the code declares: make metrics-page\n")
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
