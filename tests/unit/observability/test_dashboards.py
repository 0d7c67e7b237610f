"""Dashboards ask only for what is exported, on whatever Prometheus they are given."""

import json
from typing import Any

import pytest

from deploy.observability.catalogue import exported_series
from deploy.observability.dashboards import FOLDER, render
from deploy.observability.panels import DASHBOARDS, Dashboard, Panel
from tests.unit.observability.promql import faults_of

EACH = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.name)


def as_asked(query: str) -> str:
    """The query as Grafana sends it: its own variables filled in."""
    return query.replace("$__rate_interval", "5m").replace("$job", ".*")


def test_the_files_are_what_panels_say() -> None:
    written = {path.name: path.read_text() for path in FOLDER.glob("*")}

    assert written == {f"{dashboard.name}.json": render(dashboard) for dashboard in DASHBOARDS}, "run: make dashboards"


@EACH
def test_every_query_asks_only_for_what_is_exported(dashboard: Dashboard) -> None:
    catalogue = exported_series()
    faults = {
        query: found
        for panel in dashboard.panels
        for query in panel.queries
        if (found := faults_of(as_asked(query), catalogue))
    }

    assert faults == {}


@EACH
def test_a_legend_names_labels_that_the_query_keeps(dashboard: Dashboard) -> None:
    for panel in dashboard.panels:
        for query, legend in panel.queries.items():
            for label in _labels_of(legend):
                assert label in query or label in {"job", "instance"}, (panel.title, legend)


@EACH
def test_no_datasource_is_hard_coded_and_panels_do_not_overlap(dashboard: Dashboard) -> None:
    document = json.loads(render(dashboard))

    assert [variable["name"] for variable in document["templating"]["list"]] == ["datasource", "job"]
    assert set(_uids(document["panels"])) == {"${datasource}"}
    taken: set[tuple[int, int]] = set()
    for panel in document["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_a_query_for_what_nobody_exports_is_found() -> None:
    catalogue = exported_series()

    assert faults_of("sum(rate(tributary_nothing_total[5m]))", catalogue)
    assert faults_of('sum(rate(tributary_http_requests_total{code="500"}[5m]))', catalogue)
    assert faults_of("sum by (tenant) (rate(tributary_http_requests_total[5m]))", catalogue)
    assert faults_of("sum(rate(tributary_clicks_buffered_clicks[5m]))", catalogue)
    assert faults_of("sum(tributary_http_requests_total)", catalogue)
    assert faults_of("sum(rate(tributary_http_requests_total[5m])", catalogue)
    assert not faults_of("sum by (status) (rate(tributary_http_requests_total[5m]))", catalogue)


def test_what_matters_most_is_shown() -> None:
    shown = " ".join(query for dashboard in DASHBOARDS for panel in dashboard.panels for query in panel.queries)

    for name in (
        "ledger_broken_flag",
        "ledger_imbalance_minor",
        "ledger_transactions_total",
        "commission_changed_minor_total",
        "postback_outcomes_postbacks_total",
        "conversion_versions_total",
        "conversions_waiting_versions",
        "consumer_lag_seconds",
        "consumer_lag_records",
        "outbox_oldest_pending_seconds",
        "outbox_parked_records",
        "dead_letters_open_records",
        "event_log_reachable_flag",
        "clicks_buffered_clicks",
        "clicks_lost_clicks_total",
        "redirect_seconds_bucket",
        "postback_seconds_bucket",
        "http_requests_total",
        "database_in_use_connections",
    ):
        assert f"tributary_{name}" in shown, name


def _labels_of(legend: str) -> list[str]:
    return [part.partition("}}")[0] for part in legend.split("{{")[1:]]


def _uids(panels: list[dict[str, Any]]) -> list[str]:
    return [source["datasource"]["uid"] for panel in panels for source in (panel, *panel["targets"])]


def test_a_panel_has_a_meaning() -> None:
    panels: list[Panel] = [panel for dashboard in DASHBOARDS for panel in dashboard.panels]

    assert all(panel.meaning.endswith(".") and panel.queries for panel in panels)
