"""What every manifest has to hold, whatever it deploys."""

import functools
from typing import Any

import kubernetes_validate
import pytest

from deploy.local.roles import ROLES, Role
from deploy.local.secret_files import FILE_NAMES
from shared.contracts.topics import TOPICS
from tests.unit.deploy_manifests.manifests import (
    BASE,
    K8S,
    KUSTOMIZATION,
    OVERLAYS,
    by_name,
    listed_files,
    pod_spec,
    read,
    resources,
    told_names,
    workloads,
)

KUBERNETES_VERSION = kubernetes_validate.latest_version()
DAY_MS = 86_400_000
API_ROLES = {role.name for role in ROLES if role.kind == "api"}
PODS = pytest.mark.parametrize("workload", workloads(), ids=lambda found: found["metadata"]["name"])
EVERY_ROLE = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
KNOWN_GROUPS = {"apps/v1", "batch/v1", "v1", "networking.k8s.io/v1", "policy/v1", "autoscaling/v2"}
OPERATOR_GROUPS = {
    "barmancloud.cnpg.io/v1",
    "kafka.strimzi.io/v1",
    "keda.sh/v1alpha1",
    "monitoring.coreos.com/v1",
    "postgresql.cnpg.io/v1",
}


def test_every_file_is_listed_and_every_listed_file_exists() -> None:
    kustomizations = sorted(K8S.rglob(KUSTOMIZATION))
    listed = {path for found in kustomizations for path in listed_files(found.parent)}
    written = {path for path in K8S.rglob("*.yaml") if path.name != KUSTOMIZATION}

    assert {path for path in listed if not path.exists()} == set()
    assert written - listed == set()


@pytest.mark.parametrize(
    "path", sorted(path for path in K8S.rglob("*.yaml") if path.name != KUSTOMIZATION), ids=lambda path: path.name
)
def test_kubernetes_knows_every_field(path: Any) -> None:
    for manifest in read(path):
        if not isinstance(manifest, dict) or "$patch" in manifest:
            continue  # a list of JSON patches, or a deletion
        assert manifest["apiVersion"] in KNOWN_GROUPS | OPERATOR_GROUPS
        if manifest["apiVersion"] in KNOWN_GROUPS:
            kubernetes_validate.validate(manifest, KUBERNETES_VERSION, strict=True)


@EVERY_ROLE
def test_role_has_a_deployment_that_is_told_what_make_run_tells_it(role: Role) -> None:
    deployment = by_name("Deployment")[role.name]
    [container] = pod_spec(deployment)["containers"]
    configuration = by_name("ConfigMap")["tributary"]["data"]

    assert container["args"] == [role.module]
    assert "command" not in container
    assert container["envFrom"] == [{"configMapRef": {"name": "tributary"}}]
    told = {entry["name"] for entry in container["env"]} | set(configuration) - {"LOG_LEVEL"}
    assert told == told_names(role)
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels == deployment["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == {"app.kubernetes.io/name": role.name}
    assert labels == {"app.kubernetes.io/name": role.name, "app.kubernetes.io/part-of": "tributary"}


@EVERY_ROLE
def test_role_sees_its_own_secret_files_only(role: Role) -> None:
    spec = pod_spec(by_name("Deployment")[role.name])
    [container] = spec["containers"]
    files = {entry["name"]: entry["value"] for entry in container["env"] if entry["name"].endswith("_FILE")}
    mounted = {
        item["key"]: item["path"]
        for volume in spec["volumes"]
        if "secret" in volume
        for item in volume["secret"]["items"]
    }

    assert files == {kind.value: f"/run/secrets/tributary/{FILE_NAMES[kind]}" for kind in role.secrets}
    assert mounted == {FILE_NAMES[kind]: FILE_NAMES[kind] for kind in role.secrets}
    [keys] = [mount for mount in container["volumeMounts"] if mount["name"] == "keys"] or [None]
    assert keys in ([{"name": "keys", "mountPath": "/run/secrets/tributary", "readOnly": True}] if mounted else [None])


def test_nothing_is_deployed_that_is_no_role() -> None:
    assert set(by_name("Deployment")) == {role.name for role in ROLES}
    assert {name: pod_spec(job)["containers"][0]["args"] for name, job in by_name("Job").items()} == {
        "migrate": ["deploy.jobs.migrate"],
        "topics": ["deploy.jobs.topics"],
    }


@PODS
def test_pod_is_restricted(workload: dict[str, Any]) -> None:
    spec = pod_spec(workload)

    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False, "service links would set variables such as CLICKS_API_PORT"
    for container in spec["containers"]:
        context = container["securityContext"]
        assert context["allowPrivilegeEscalation"] is False
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert context.get("readOnlyRootFilesystem") is True or workload["kind"] == "StatefulSet"
        assert set(container["resources"]["limits"]) == {"cpu", "memory"}
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert not container["image"].endswith(":latest")
        assert ":" in container["image"]


@EVERY_ROLE
def test_role_is_probed_spread_and_stopped_gently(role: Role) -> None:
    spec = pod_spec(by_name("Deployment")[role.name])
    [container] = spec["containers"]

    assert container["ports"] == [{"name": "http", "containerPort": 8080}]
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "http"}
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] + 25 <= spec["terminationGracePeriodSeconds"]
    spread = {constraint["topologyKey"]: constraint for constraint in spec["topologySpreadConstraints"]}
    assert set(spread) == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for constraint in spread.values():
        assert constraint["labelSelector"]["matchLabels"] == {"app.kubernetes.io/name": role.name}


@pytest.mark.parametrize("name", sorted(API_ROLES))
def test_http_role_is_served_scaled_and_kept(name: str) -> None:
    scaler, budget = by_name("HorizontalPodAutoscaler")[name]["spec"], by_name("PodDisruptionBudget")[name]["spec"]
    service = by_name("Service")[name]["spec"]

    assert service["selector"] == budget["selector"]["matchLabels"] == {"app.kubernetes.io/name": name}
    assert service["ports"] == [{"name": "http", "port": 8080, "targetPort": "http"}]
    assert service.get("type", "ClusterIP") == "ClusterIP"
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": name}
    assert 2 <= scaler["minReplicas"] <= scaler["maxReplicas"]
    assert budget["maxUnavailable"] == 1
    assert "replicas" not in by_name("Deployment")[name]["spec"], "the autoscaler decides"


def test_only_http_roles_are_reachable() -> None:
    assert set(by_name("Service")) == API_ROLES
    assert set(by_name("HorizontalPodAutoscaler")) == set(by_name("PodDisruptionBudget")) == API_ROLES


def _arrows() -> set[tuple[str, str]]:
    """Who may reach whom, by the ingress policies: names of pods, or of a namespace."""
    arrows = set()
    for policy in by_name("NetworkPolicy").values():
        target = policy["spec"]["podSelector"]["matchLabels"]
        for rule in policy["spec"].get("ingress", []):
            assert rule["ports"] == [{"protocol": "TCP", "port": 8080}]
            for peer in rule["from"]:
                [selector] = peer.values()
                [source] = selector["matchLabels"].values()
                arrows.add((source, target["app.kubernetes.io/name"]))
    return arrows


def test_only_the_arrows_of_the_design_are_open() -> None:
    policies = by_name("NetworkPolicy")
    whole = {"matchLabels": {"app.kubernetes.io/part-of": "tributary"}}

    assert policies["default-deny"]["spec"] == {"podSelector": whole, "policyTypes": ["Ingress", "Egress"]}
    assert _arrows() == {
        *((caller, name) for caller in ("gateway-api", "ingress-nginx") for name in ("clicks-api", "conversions-api")),
        ("gateway-api", "commissions-api"),
        ("ingress-nginx", "gateway-api"),
    }
    stores = policies["all-to-stores"]["spec"]
    assert stores["podSelector"] == whole
    assert [[port["port"] for port in rule["ports"]] for rule in stores["egress"]] == [[53, 53], [5432], [9092]]
    assert [rule["to"][0].get("podSelector", {}).get("matchLabels") for rule in stores["egress"]] == [
        None,
        {"app.kubernetes.io/name": "postgresql"},
        {"app.kubernetes.io/name": "kafka"},
    ]
    [inward] = policies["gateway-to-services"]["spec"]["egress"]
    reached = {peer["podSelector"]["matchLabels"]["app.kubernetes.io/name"] for peer in inward["to"]}
    assert reached == API_ROLES - {"gateway-api"}
    assert {name for name, found in policies.items() if "egress" in found["spec"]} == {
        "all-to-stores",
        "gateway-to-services",
    }


def test_clicks_and_postbacks_go_straight_to_their_services() -> None:
    [rule] = by_name("Ingress")["tributary"]["spec"]["rules"]
    routes = {
        (found["path"], found["pathType"]): found["backend"]["service"]["name"] for found in rule["http"]["paths"]
    }

    assert routes == {
        ("/c/", "Prefix"): "clicks-api",
        ("/postback", "Exact"): "conversions-api",
        ("/", "Prefix"): "gateway-api",
    }


def test_no_secret_is_written_down() -> None:
    for path in K8S.rglob("*.yaml"):
        for manifest in read(path):
            assert not (isinstance(manifest, dict) and manifest.get("kind") == "Secret"), path
    for workload in workloads():
        for container in pod_spec(workload)["containers"]:
            for entry in container.get("env", []):
                if "DATABASE" in entry["name"] or "PASSWORD" in entry["name"]:
                    assert entry["valueFrom"]["secretKeyRef"]["key"] == entry["name"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_sets_only_what_the_base_has(overlay: str) -> None:
    base = by_name("ConfigMap")["tributary"]["data"]
    [patch] = read(K8S / "overlays" / overlay / "configuration.yaml")

    assert patch["metadata"]["name"] == "tributary"
    assert set(patch["data"]) <= set(base)
    assert "LOG_ID" in patch["data"]


def test_production_topics_are_those_of_the_topic_table() -> None:
    found = {
        topic["spec"].pop("topicName", topic["metadata"]["name"]): topic
        for topic in resources(K8S / "overlays" / "production")
        if topic["kind"] == "KafkaTopic"
    }

    assert {name: topic["spec"] for name, topic in found.items()} == {
        topic.name: {
            "partitions": topic.partitions,
            "replicas": 3,
            "config": {
                "cleanup.policy": "compact" if topic.compacted else "delete",
                "retention.ms": -1 if topic.retention_days is None else topic.retention_days * DAY_MS,
                "min.insync.replicas": 2,
            },
        }
        for topic in TOPICS.values()
    }
    assert {topic["metadata"]["labels"]["strimzi.io/cluster"] for topic in found.values()} == {"tributary"}


def test_workers_scale_on_the_lag_of_topics_they_consume() -> None:
    for scaled in resources(K8S / "components" / "keda"):
        target = scaled["spec"]["scaleTargetRef"]["name"]
        service = next(role.service for role in ROLES if role.name == target and role.kind == "worker")
        for trigger in scaled["spec"]["triggers"]:
            topic = TOPICS[trigger["metadata"]["topic"]]
            assert service in topic.consumers
            assert trigger["metadata"]["consumerGroup"].startswith(f"{service}.")
            assert scaled["spec"]["maxReplicaCount"] <= topic.partitions


def test_production_commits_on_two_machines() -> None:
    [cluster] = [found for found in resources(K8S / "overlays" / "production") if found["kind"] == "Cluster"]

    assert cluster["spec"]["instances"] == 3
    assert cluster["spec"]["postgresql"]["synchronous"] == {"method": "any", "number": 1}


def test_base_lists_no_overlay() -> None:
    assert all(path.parent == BASE for path in listed_files(BASE))


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlay_patches_places_that_exist(overlay: str) -> None:
    """Where kubectl is not there to render, a patch that misses its place is found here."""
    folder = K8S / "overlays" / overlay
    [kustomization] = read(folder / KUSTOMIZATION)
    for patch in kustomization["patches"]:
        [content] = read(folder / patch["path"])
        if "target" not in patch:
            assert content["metadata"]["name"] in by_name(content["kind"])
            continue
        target = by_name(patch["target"]["kind"])[patch["target"]["name"]]
        operations: Any = content  # a list of JSON patches
        for operation in operations:
            *parents, last = operation["path"].strip("/").split("/")
            place = functools.reduce(_step_into, parents, target)
            assert operation["op"] == "add" or last in place


def _step_into(place: Any, step: str) -> Any:
    return place[int(step)] if isinstance(place, list) else place[step]
