"""`python -m deploy.observability.dashboards`: write the Grafana dashboards of `panels.py` as JSON into dashboards/."""

import json
from pathlib import Path
from typing import Any, Final

from deploy.observability.panels import DASHBOARDS, Dashboard, Panel

FOLDER: Final = Path(__file__).resolve().parent / "dashboards"
SCHEMA_VERSION: Final = 39
"""Grafana 11 and later; newer ones migrate it as they load it."""

COLUMNS: Final = 24
PANEL_HEIGHT: Final = 8
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}


def render(dashboard: Dashboard) -> str:
    """A dashboard as Grafana's provisioning reads it."""
    return json.dumps(_document(dashboard), indent=2, ensure_ascii=False) + "\n"


def _document(dashboard: Dashboard) -> dict[str, Any]:
    return {
        "uid": f"tributary-{dashboard.name}",
        "title": f"Tributary: {dashboard.title}",
        "description": dashboard.purpose,
        "tags": ["tributary"],
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "schemaVersion": SCHEMA_VERSION,
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "utc",
        "templating": {"list": [_datasource_variable(), _job_variable()]},
        "links": [_links()],
        "panels": list(_panels(dashboard)),
    }


def _datasource_variable() -> dict[str, Any]:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _job_variable() -> dict[str, Any]:
    return {
        "name": "job",
        "label": "process",
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": "label_values(tributary_build_info, job)", "refId": "job"},
        "definition": "label_values(tributary_build_info, job)",
        "refresh": 2,
        "includeAll": True,
        "multi": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _links() -> dict[str, Any]:
    return {"title": "Tributary", "type": "dashboards", "tags": ["tributary"], "asDropdown": True, "keepTime": True}


def _panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    """Left to right, a new row where the next does not fit."""
    placed, x, y = [], 0, 0
    for number, panel in enumerate(dashboard.panels, start=1):
        if x + panel.columns > COLUMNS:
            x, y = 0, y + PANEL_HEIGHT
        placed.append(_panel(panel, number, {"x": x, "y": y, "w": panel.columns, "h": PANEL_HEIGHT}))
        x += panel.columns
    return placed


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    if panel.red_above is not None:
        steps.append({"color": "red", "value": panel.red_above})
    return {
        "id": number,
        "type": "stat" if panel.is_one_figure else "timeseries",
        "title": panel.title,
        "description": panel.meaning,
        "datasource": DATASOURCE,
        "gridPos": place,
        "fieldConfig": {
            "defaults": {"unit": panel.unit, "min": 0, "thresholds": {"mode": "absolute", "steps": steps}},
            "overrides": [],
        },
        "options": {} if panel.is_one_figure else {"legend": {"displayMode": "list", "placement": "bottom"}},
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": DATASOURCE, "expr": query, "legendFormat": legend}
            for place, (query, legend) in enumerate(panel.queries.items())
        ],
    }


def main() -> None:
    """Write every dashboard."""
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.name}.json").write_text(render(dashboard))


if __name__ == "__main__":
    main()
