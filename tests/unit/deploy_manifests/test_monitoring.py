"""The component that lets a Prometheus in: to the metrics of every role, under its name, and to nothing else."""

import copy
from collections.abc import Callable

import pytest
import yaml

from deploy.local.roles import ROLES
from deploy.observability.prometheus_rule import WRITTEN, render_rule
from tests.unit.deploy_manifests.manifests import BASE, K8S, ROOT, Manifest, by_name, resources
from tests.unit.deploy_manifests.policies import complaints

COMPONENT = K8S / "components" / "monitoring"


def _broken_arrows(policy: Manifest) -> list[str]:
    found = complaints([*resources(BASE), policy])
    return [complaint for complaint in found if complaint.startswith("arrows")]


def _from_everywhere(policy: Manifest) -> None:
    policy["spec"]["ingress"][0]["from"] = [{}]


def _from_the_whole_namespace(policy: Manifest) -> None:
    del policy["spec"]["ingress"][0]["from"][0]["podSelector"]


def _to_any_port(policy: Manifest) -> None:
    del policy["spec"]["ingress"][0]["ports"]


def _outward_too(policy: Manifest) -> None:
    policy["spec"]["egress"] = [{}]


def test_prometheus_is_let_in() -> None:
    assert _broken_arrows(by_name("NetworkPolicy", COMPONENT)["prometheus-to-all"]) == []


@pytest.mark.parametrize("change", [_from_everywhere, _from_the_whole_namespace, _to_any_port, _outward_too])
def test_nobody_else_is_let_in_unnoticed(change: Callable[[Manifest], None]) -> None:
    policy = copy.deepcopy(by_name("NetworkPolicy", COMPONENT)["prometheus-to-all"])
    change(policy)

    assert _broken_arrows(policy) != []


def test_every_pod_is_scraped_under_the_name_of_its_role() -> None:
    monitor = by_name("PodMonitor", COMPONENT)["tributary"]["spec"]
    deployments = by_name("Deployment")

    [endpoint] = monitor["podMetricsEndpoints"]
    assert endpoint["path"] == "/metrics"
    for role in ROLES:
        template = deployments[role.name]["spec"]["template"]
        assert monitor["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        assert template["metadata"]["labels"][monitor["jobLabel"]] == role.name
        [container] = template["spec"]["containers"]
        assert endpoint["port"] in {port["name"] for port in container["ports"]}


def test_the_rule_is_the_alerts_file() -> None:
    alerts = yaml.safe_load((ROOT / "deploy" / "observability" / "alerts.yaml").read_text())

    assert WRITTEN.read_text() == render_rule(), "run: make dashboards"
    assert by_name("PrometheusRule", COMPONENT)["tributary"]["spec"] == alerts
