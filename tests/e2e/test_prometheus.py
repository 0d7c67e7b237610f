"""A real Prometheus beside the platform: it finds every process, loads every rule, and answers every dashboard."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest

from deploy.local.roles import ROLES
from deploy.observability.panels import DASHBOARDS
from deploy.observability.targets import targets_of
from tests.e2e.metrics import metrics_port
from tests.e2e.running_platform import CHECKOUT, RunningPlatform, wait_until

STARTED_SECONDS = 60.0
SOURCES = CHECKOUT / "deploy" / "observability"


@pytest.fixture
def prometheus(platform: RunningPlatform, tmp_path: Path) -> Iterator[str]:
    """Its address. Configured by the files that the page names, asking more often."""
    program = shutil.which("prometheus")
    if program is None:
        if os.environ.get("REQUIRE_PROMTOOL") == "1":
            pytest.fail("prometheus is not installed: apt-get install prometheus")
        pytest.skip("prometheus is not installed")
    shutil.copy(SOURCES / "alerts.yaml", tmp_path)
    (tmp_path / "prometheus.yaml").write_text((SOURCES / "prometheus.yaml").read_text().replace("15s", "1s"))
    ports = {role.name: metrics_port(platform, role.name) for role in ROLES}
    (tmp_path / "targets.json").write_text(json.dumps(targets_of(ports)))
    port = _free_port()
    command = [
        program,
        f"--config.file={tmp_path / 'prometheus.yaml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        try:
            yield f"http://127.0.0.1:{port}/api/v1"
        finally:
            process.terminate()
            process.wait()


def test_a_prometheus_finds_every_process_and_answers_every_dashboard(prometheus: str) -> None:
    wait_until(lambda: _healths(prometheus) == {role.name: "up" for role in ROLES}, STARTED_SECONDS, "all are scraped")
    wait_until(lambda: _rules(prometheus) == {"ok"}, STARTED_SECONDS, "every rule was evaluated")

    answered = 0
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                asked = query.replace("$__rate_interval", "1m").replace("$job", ".*")
                assert _ask(prometheus, "query", query=asked)["status"] == "success", (panel.title, query)
                answered += 1
    assert answered >= len(DASHBOARDS)

    firing = {alert["labels"]["alertname"] for alert in _alerts(prometheus) if alert["state"] == "firing"}
    assert firing & {"ProcessDown", "ProcessMissing", "LedgerOutOfBalance", "EventLogDown", "ClicksLost"} == set()


def _alerts(prometheus: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = _ask(prometheus, "alerts")["data"]["alerts"]
    return found


def _ask(prometheus: str, what: str, **parameters: str) -> dict[str, Any]:
    try:
        with urlopen(f"{prometheus}/{what}?{urlencode(parameters)}", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
    except HTTPError as refused:
        if refused.code == 503:  # still starting: no JSON yet
            raise
        found = json.load(refused)
    return found


def _healths(prometheus: str) -> dict[str, str]:
    try:
        targets = _ask(prometheus, "targets")["data"]["activeTargets"]
    except OSError:
        time.sleep(0.2)
        return {}
    return {target["labels"]["job"]: target["health"] for target in targets}


def _rules(prometheus: str) -> set[str]:
    groups = _ask(prometheus, "rules")["data"]["groups"]
    return {rule["health"] for group in groups for rule in group["rules"]}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
