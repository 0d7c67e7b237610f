"""Alert rules ask for metrics that exist, fire when they should and only then, and lead to a page."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from deploy.cli.main import app as operator
from deploy.observability.catalogue import exported_series
from tests.unit.observability.alert_cases import CASES
from tests.unit.observability.promql import faults_of
from tests.unit.observability.promtool import ALERTS, bare_rules, load_rules, run_cases, run_promtool

ROOT = Path(__file__).resolve().parents[3]
RULES = load_rules()
EACH_RULE = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])


@EACH_RULE
def test_an_alert_asks_only_for_what_is_exported(rule: dict[str, Any]) -> None:
    assert faults_of(rule["expr"], exported_series()) == []


@EACH_RULE
def test_an_alert_says_how_bad_it_is_what_it_is_and_where_to_read_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert set(rule["annotations"]) == {"summary", "runbook_url"}
    assert rule["annotations"]["summary"].endswith(".")
    page = ROOT / rule["annotations"]["runbook_url"]
    assert page.is_file()
    assert page.parent == ROOT / "deploy" / "runbooks"
    assert rule["alert"] in page.read_text(), f"{page.name} does not speak of it"


def test_every_alert_has_a_case_and_names_only_labels_it_has() -> None:
    assert {case.alert for case in CASES} == {rule["alert"] for rule in RULES}
    assert len({rule["alert"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        for case in CASES:
            if case.alert == rule["alert"]:
                assert named <= set(case.labels), rule["alert"]


def test_promtool_takes_the_file() -> None:
    checked = run_promtool("check", "rules", str(ALERTS))

    assert checked.returncode == 0, checked.stderr


def test_every_alert_fires_when_it_should_and_only_then(tmp_path: Path) -> None:
    tried = run_cases(tmp_path, bare_rules(), list(CASES))

    assert tried.returncode == 0, tried.stdout + tried.stderr


def test_every_change_of_an_expression_is_noticed(tmp_path: Path) -> None:
    """A case that fits any expression proves nothing: one that never holds, half and twice each threshold."""
    for change in (_never, _halved, _doubled):
        changed = [{**rule, "expr": change(rule["expr"])} for rule in bare_rules()]
        different = {new["alert"] for new, old in zip(changed, bare_rules(), strict=True) if new != old}
        assert len(different) > len(RULES) / 3

        tried = run_cases(tmp_path, changed, list(CASES))

        noticed = set(re.findall(r"alertname: (\w+)", tried.stdout + tried.stderr))
        assert different - noticed == set(), f"may be changed unnoticed: {change.__name__}"


def _never(expression: str) -> str:
    return f"({expression}) and on () vector(1) == 2"


def _halved(expression: str) -> str:
    return re.sub(r"([<>]) ([\d.]*[1-9][\d.]*)", r"\1 0.5 * \2", re.sub(r"(>|==) 0$", ">= 0", expression))


def _doubled(expression: str) -> str:
    return re.sub(r"([<>]) ([\d.]*[1-9][\d.]*)", r"\1 2 * \2", expression)


def test_the_index_of_runbooks_leads_from_each_alert_to_its_page() -> None:
    index = (ROOT / "deploy" / "runbooks" / "README.md").read_text()

    for rule in RULES:
        page = Path(rule["annotations"]["runbook_url"]).name
        assert f"| `{rule['alert']}` | [{page.removesuffix('.md')}]({page}) |" in index


def test_runbooks_link_to_pages_that_exist_and_name_commands_that_exist() -> None:
    known = set(_commands(typer.main.get_command(operator)))
    for page in (ROOT / "deploy" / "runbooks").glob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).resolve().exists(), f"{page.name} leads to {target}"
        for command in re.findall(r"tributary ((?:[a-z-]+ ?)+)", page.read_text()):
            words = command.split()
            assert words[0] in known or " ".join(words[:2]) in known, f"{page.name}: tributary {command}"


def test_metrics_that_runbooks_ask_for_exist() -> None:
    names = " ".join(exported_series())
    for page in (ROOT / "deploy" / "runbooks").glob("*.md"):
        for word in re.findall(r"tributary metrics ([a-z_]+_[a-z_]*)", page.read_text()):
            assert word in names, f"{page.name}: {word}"


def _commands(command: Any, path: str = "") -> Iterator[str]:
    """`ps`, `dead-letters`, `dead-letters list`, …"""
    for name, found in getattr(command, "commands", {}).items():
        yield f"{path}{name}"
        yield from _commands(found, f"{path}{name} ")
