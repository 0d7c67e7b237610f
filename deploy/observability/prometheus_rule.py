"""`python -m deploy.observability.prometheus_rule`: alerts.yaml as the PrometheusRule of the Kubernetes component."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent
WRITTEN: Final = FOLDER.parent / "k8s" / "components" / "monitoring" / "prometheus-rule.yaml"
_HEAD: Final = """\
# Made from deploy/observability/alerts.yaml by `make dashboards`; do not edit.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: tributary
spec:
"""


def render_rule() -> str:
    """The same groups, one level deeper."""
    lines = (FOLDER / "alerts.yaml").read_text().splitlines()
    groups = lines[lines.index("groups:") :]
    return _HEAD + "".join(f"  {line}\n" if line else "\n" for line in groups)


def main() -> None:
    """Write it."""
    WRITTEN.write_text(render_rule())


if __name__ == "__main__":
    main()
