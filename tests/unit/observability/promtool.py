"""Prometheus's own checker, where it is installed (Debian: apt-get install prometheus)."""

import functools
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.observability.alert_cases import AlertCase

ALERTS = Path(__file__).resolve().parents[3] / "deploy" / "observability" / "alerts.yaml"
REQUIRED = os.environ.get("REQUIRE_PROMTOOL") == "1"


def promtool_or_skip() -> str:
    """Its path. Skips the test where it is missing, unless REQUIRE_PROMTOOL=1."""
    found = shutil.which("promtool")
    if found is None and REQUIRED:
        pytest.fail("promtool is not installed: apt-get install prometheus")
    if found is None:
        pytest.skip("promtool is not installed (Debian's package prometheus has it)")
    return found


def run_promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    return subprocess.run([promtool_or_skip(), *arguments], capture_output=True, text=True, check=False, timeout=60)


def run_cases(folder: Path, rules: list[dict[str, Any]], cases: list[AlertCase]) -> subprocess.CompletedProcess[str]:
    """Ask promtool whether each case's alert fires and stays silent as it says. rules: without their annotations."""
    files = []
    for rule in rules:
        alert = rule["alert"]
        (folder / f"{alert}.yaml").write_text(yaml.safe_dump({"groups": [{"name": alert, "rules": [rule]}]}))
        mine = [case for case in cases if case.alert == alert]
        tests = [test for case in mine for test in (_test(case, fires=True), _test(case, fires=False))]
        document = {"rule_files": [f"{alert}.yaml"], "evaluation_interval": "1m", "tests": tests}
        (folder / f"{alert}.test.yaml").write_text(yaml.safe_dump(document))
        files.append(str(folder / f"{alert}.test.yaml"))
    return run_promtool("test", "rules", *files)


def _test(case: AlertCase, *, fires: bool) -> dict[str, Any]:
    series = case.fires if fires else case.bears
    expected = [{"exp_labels": {**_severity(case.alert), **case.labels}}] if fires else []
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{case.at_minutes}m", "alertname": case.alert, "exp_alerts": expected},
        ],
    }


def _severity(alert: str) -> dict[str, str]:
    return next(rule["labels"] for rule in load_rules() if rule["alert"] == alert)


@functools.cache
def load_rules() -> list[dict[str, Any]]:
    """Every alert rule, in the file's order."""
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def bare_rules() -> list[dict[str, Any]]:
    """Every rule without its annotations, whose texts are not what promtool is asked about here."""
    return [{key: value for key, value in rule.items() if key != "annotations"} for rule in load_rules()]
