"""Every overlay as the cluster would get it, and that no object of it can be broken unnoticed."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.unit.deploy_manifests.kubectl import KubectlMissing, ensure_kubectl, rendered
from tests.unit.deploy_manifests.manifests import K8S, OVERLAYS
from tests.unit.deploy_manifests.policies import BUILT_IN_GROUPS, Manifest, complaints

Breakage = Callable[[Manifest], None]


@pytest.fixture(scope="module", autouse=True)
def _kubectl() -> None:
    """What is not rendered is not checked: REQUIRE_KUBECTL=1 insists."""
    try:
        ensure_kubectl()
    except KubectlMissing as missing:
        if os.environ.get("REQUIRE_KUBECTL") == "1":
            pytest.fail(str(missing))
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def overlays() -> dict[str, list[Manifest]]:
    """Objects by overlay."""
    return {name: rendered(K8S / "overlays" / name) for name in OVERLAYS}


@pytest.mark.parametrize("name", OVERLAYS)
def test_overlay_is_what_a_cluster_may_run(overlays: dict[str, list[Manifest]], name: str) -> None:
    assert list(complaints(overlays[name])) == []


@pytest.mark.parametrize("component", sorted(path.parent.name for path in K8S.glob("components/*/kustomization.yaml")))
def test_overlay_with_component_is_what_a_cluster_may_run(tmp_path: Path, component: str) -> None:
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    parts = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [_relative(K8S / "overlays" / "production", overlay)],
        "components": [_relative(K8S / "components" / component, overlay)],
        "namespace": "tributary",
    }
    (overlay / "kustomization.yaml").write_text(yaml.safe_dump(parts))

    assert list(complaints(rendered(overlay))) == []


def _relative(target: Path, start: Path) -> str:
    return str(Path(*[".."] * len(start.parts[1:]), *target.parts[1:]))


def _misspelt(manifest: Manifest) -> None:
    body = next((key for key in ("spec", "data") if key in manifest), "metadata")
    manifest[f"{body}s"] = manifest.pop(body)


def _elsewhere(manifest: Manifest) -> None:
    manifest["metadata"]["namespace"] = "default"


def _renamed(manifest: Manifest) -> None:
    manifest["metadata"]["name"] += "-x"


@pytest.mark.parametrize("breakage", [_misspelt, _elsewhere, _renamed], ids=["misspelt", "elsewhere", "renamed"])
@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_can_be_broken_only_noticed(
    overlays: dict[str, list[Manifest]], name: str, breakage: Breakage
) -> None:
    unnoticed = []
    for index, original in enumerate(overlays[name]):
        if breakage is _misspelt and original["apiVersion"] not in BUILT_IN_GROUPS:
            continue  # an operator's kind: only its own cluster has the schema
        broken = copy.deepcopy(original)
        breakage(broken)
        if not _complaint_with(overlays[name], index, broken):
            unnoticed.append(f"{original['kind']} {original['metadata']['name']}")

    assert [found for found in unnoticed if found not in MAY_BE_CALLED_OTHERWISE[breakage.__name__]] == []


MAY_BE_CALLED_OTHERWISE = {
    "_misspelt": set[str](),
    "_elsewhere": set[str](),
    "_renamed": {
        # Nothing refers to these by name.
        "StatefulSet kafka",
        "StatefulSet postgres",
        "Ingress tributary",
        "ScheduledBackup tributary-nightly",
        "KafkaTopic billable-clicks.v1",  # its topic has a name that no resource may have
        *(f"NetworkPolicy {name}" for name in ("gateway-to-services", "to-clicks-api")),
        *(f"NetworkPolicy to-{name}-api" for name in ("conversions", "commissions", "gateway")),
    },
}


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_object_is_missed(overlays: dict[str, list[Manifest]], name: str) -> None:
    unmissed = [
        f"{gone['kind']} {gone['metadata']['name']}"
        for index, gone in enumerate(overlays[name])
        if not _first_complaint(overlays[name][:index] + overlays[name][index + 1 :])
    ]

    assert [found for found in unmissed if found not in STORES] == []


STORES = {
    "Service kafka",
    "Service postgres",
    "StatefulSet kafka",
    "StatefulSet postgres",
    "Cluster tributary-postgres",
}
"""An overlay may bring its own stores, or be given them."""


def _pod(manifest: Manifest) -> dict[str, Any]:
    spec: dict[str, Any] = manifest["spec"]["template"]["spec"]
    return spec


def _first(manifest: Manifest) -> dict[str, Any]:
    container: dict[str, Any] = _pod(manifest)["containers"][0]
    return container


POD_BREAKAGES: dict[str, Breakage] = {
    "as root": lambda m: _pod(m)["securityContext"].update(runAsUser=0),
    "root allowed": lambda m: _pod(m)["securityContext"].pop("runAsNonRoot"),
    "no seccomp": lambda m: _pod(m)["securityContext"].pop("seccompProfile"),
    "cluster token": lambda m: _pod(m).pop("automountServiceAccountToken"),
    "service links": lambda m: _pod(m).pop("enableServiceLinks"),
    "host network": lambda m: _pod(m).update(hostNetwork=True),
    "more rights": lambda m: _first(m)["securityContext"].update(allowPrivilegeEscalation=True),
    "capabilities": lambda m: _first(m)["securityContext"].pop("capabilities"),
    "no limits": lambda m: _first(m)["resources"].pop("limits"),
    "no memory limit": lambda m: _first(m)["resources"]["limits"].pop("memory"),
    "no requests": lambda m: _first(m)["resources"].pop("requests"),
    "latest": lambda m: _first(m).update(image="tributary:latest"),
    "no tag": lambda m: _first(m).update(image="registry.example:5000/tributary"),
}
ROLE_BREAKAGES: dict[str, Breakage] = {
    "writable root": lambda m: _first(m)["securityContext"].update(readOnlyRootFilesystem=False),
    "another module": lambda m: _first(m).update(args=["services.nothing"]),
    "no configuration": lambda m: _first(m).setdefault("envFrom", []).append({"configMapRef": {"name": "other"}}),
    "password written down": lambda m: (
        _first(m).setdefault("env", []).append({"name": "DATABASE_URL_X", "value": "postgresql://x"})
    ),
    "another secret": lambda m: (
        _first(m)
        .setdefault("env", [])
        .append({"name": "A", "valueFrom": {"secretKeyRef": {"name": "mine", "key": "a"}}})
    ),
    "mount of nothing": lambda m: _first(m).setdefault("volumeMounts", []).append({"name": "no", "mountPath": "/no"}),
}
DEPLOYMENT_BREAKAGES: dict[str, Breakage] = {
    "not ready": lambda m: _first(m).pop("readinessProbe"),
    "not alive": lambda m: _first(m)["livenessProbe"]["httpGet"].update(path="/"),
    "no pause": lambda m: _first(m).pop("lifecycle"),
    "no time to stop": lambda m: _pod(m).update(terminationGracePeriodSeconds=10),
    "not spread": lambda m: _pod(m).pop("topologySpreadConstraints"),
    "another port": lambda m: _first(m)["ports"][0].update(containerPort=9),
    "other pods": lambda m: m["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/name": "x"}),
}
KIND_BREAKAGES: dict[str, dict[str, Breakage]] = {
    "Service": {
        "no pod": lambda m: m["spec"]["selector"].update({"app.kubernetes.io/name": "x"}),
        "to the world": lambda m: m["spec"].update(type="LoadBalancer"),
    },
    "HorizontalPodAutoscaler": {
        "one replica": lambda m: m["spec"].update(minReplicas=1),
        "another target": lambda m: m["spec"]["scaleTargetRef"].update(name="x"),
    },
    "PodDisruptionBudget": {
        "keeps nothing": lambda m: m["spec"]["selector"]["matchLabels"].update({"app.kubernetes.io/name": "x"}),
        "half may go": lambda m: m["spec"].update(maxUnavailable="50%"),
    },
    "Ingress": {
        "no body limit": lambda m: m["metadata"]["annotations"].pop("nginx.ingress.kubernetes.io/proxy-body-size"),
        "exports cut off": lambda m: m["metadata"]["annotations"].update(
            {"nginx.ingress.kubernetes.io/proxy-read-timeout": "30"}
        ),
        "another service": lambda m: m["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(name="x"),
    },
    "KafkaTopic": {
        "other partitions": lambda m: m["spec"].update(partitions=99),
        "one copy": lambda m: m["spec"].update(replicas=1),
    },
    "Cluster": {
        "one machine": lambda m: m["spec"].update(instances=1),
        "no wait": lambda m: m["spec"]["postgresql"].pop("synchronous"),
        "no archive": lambda m: m["spec"].pop("plugins"),
        "archives elsewhere": lambda m: m["spec"]["plugins"][0]["parameters"].update(barmanObjectName="x"),
        "archives late": lambda m: m["spec"]["postgresql"]["parameters"].update(archive_timeout="5min"),
    },
    "ScheduledBackup": {
        "another cluster": lambda m: m["spec"]["cluster"].update(name="x"),
        "another way": lambda m: m["spec"].pop("pluginConfiguration"),
    },
    "ObjectStore": {
        "another secret": lambda m: m["spec"]["configuration"]["s3Credentials"]["accessKeyId"].update(name="x"),
        "not encrypted": lambda m: m["spec"]["configuration"]["wal"].pop("encryption"),
        "kept for ever": lambda m: m["spec"].pop("retentionPolicy"),
    },
}


def _breakages(manifest: Manifest) -> dict[str, Breakage]:
    kind = manifest["kind"]
    found = dict(KIND_BREAKAGES.get(kind, {}))
    if kind in ("Deployment", "Job", "StatefulSet"):
        found |= POD_BREAKAGES
    if kind in ("Deployment", "Job"):
        found |= ROLE_BREAKAGES
    if kind == "Deployment":
        found |= DEPLOYMENT_BREAKAGES
    if kind == "NetworkPolicy":
        found |= {
            f"open to everybody ({direction})": _opened(direction, peer)
            for direction, peer in (("ingress", "from"), ("egress", "to"))
            if direction in manifest["spec"]
        }
    return found


def _opened(direction: str, peer: str) -> Breakage:
    def breakage(manifest: Manifest) -> None:
        manifest["spec"][direction][-1].pop(peer)

    return breakage


@pytest.mark.parametrize("name", OVERLAYS)
def test_every_protection_is_missed_where_it_is_taken_away(overlays: dict[str, list[Manifest]], name: str) -> None:
    unnoticed, tried = [], 0
    for index, original in enumerate(overlays[name]):
        for label, breakage in _breakages(original).items():
            broken = copy.deepcopy(original)
            breakage(broken)
            tried += 1
            if not _complaint_with(overlays[name], index, broken):
                unnoticed.append(f"{original['kind']} {original['metadata']['name']}: {label}")

    assert unnoticed == []
    assert tried > 250


def _first_complaint(overlay: list[Manifest]) -> str | None:
    return next(complaints(overlay), None)


def _complaint_with(overlay: list[Manifest], index: int, broken: Manifest) -> str | None:
    return _first_complaint([*overlay[:index], broken, *overlay[index + 1 :]])
