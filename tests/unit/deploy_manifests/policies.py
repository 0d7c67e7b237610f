"""What a rendered overlay has to hold as a whole, as complaints: an empty list is a good overlay.

Judges objects, not files: it sees what `kubectl apply` would send, after every patch.
"""

import functools
import importlib.util
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import kubernetes_validate

from deploy.local.roles import ROLES
from services.gateway.domain.routes import EXPORT_DEADLINE_SECONDS
from shared.contracts.topics import TOPICS
from tests.unit.deploy_manifests.backup_policies import backup_faults

Manifest = dict[str, Any]
KUBERNETES_VERSION = kubernetes_validate.latest_version()
NAME = "app.kubernetes.io/name"
NAMESPACE = "tributary"
HTTP_PORT = 8080
STOP_SECONDS = 25
"""A process of ours stops within this time of a SIGTERM."""

OUTSIDE_SECRETS = {"tributary-databases", "tributary-database-admin", "tributary-keys", "tributary-tls"}
"""Made by the operator before the first apply: deploy/k8s/README.md."""

ROLE_NAMES = {role.name for role in ROLES}
HTTP_ROLES = {role.name for role in ROLES if role.kind == "api"}
INGRESS_NAMESPACE = "ingress-nginx"
ARROWS = {
    *((caller, role) for caller in ("gateway-api", INGRESS_NAMESPACE) for role in ("clicks-api", "conversions-api")),
    ("gateway-api", "commissions-api"),
    (INGRESS_NAMESPACE, "gateway-api"),
}
PROMETHEUS_POLICY = {
    "podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "tributary"}},
    "policyTypes": ["Ingress"],
    "ingress": [
        {
            "from": [
                {
                    "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}},
                    "podSelector": {"matchLabels": {NAME: "prometheus"}},
                }
            ],
            "ports": [{"protocol": "TCP", "port": HTTP_PORT}],
        }
    ],
}
"""Of the component `monitoring`: one kind of pod in one namespace, on the port of the metrics, and no way out."""
PATHS = {"/c/": "clicks-api", "/postback": "conversions-api", "/": "gateway-api"}
BUILT_IN_GROUPS = {"apps/v1", "batch/v1", "v1", "networking.k8s.io/v1", "policy/v1", "autoscaling/v2"}


def complaints(overlay: list[Manifest]) -> Iterator[str]:
    """What is wrong with the objects of one overlay, the cheap rules first. A rule that stumbles complains too."""
    rules: tuple[Callable[[list[Manifest]], Iterable[str]], ...] = (
        _identity,
        _roles,
        _pods,
        _probes,
        _references,
        _stores,
        _services,
        _scaling,
        _ingress,
        _arrows,
        _topics,
        backup_faults,
        _unknown_fields,
    )
    for rule in rules:
        try:
            yield from (f"{rule.__name__.lstrip('_')}: {complaint}" for complaint in rule(overlay))
        except (KeyError, IndexError, ValueError) as missing:
            yield f"{rule.__name__.lstrip('_')}: something is missing: {missing}"


def _of(overlay: list[Manifest], *kinds: str) -> dict[str, Manifest]:
    return {found["metadata"]["name"]: found for found in overlay if found["kind"] in kinds}


def _pods_of(overlay: list[Manifest]) -> Iterator[tuple[str, Manifest]]:
    for name, workload in _of(overlay, "Deployment", "StatefulSet", "Job").items():
        yield f"{workload['kind']} {name}", workload["spec"]["template"]


def _containers(pod: Manifest) -> list[Manifest]:
    containers: list[Manifest] = [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]
    return containers


def _unknown_fields(overlay: list[Manifest]) -> Iterator[str]:
    for manifest in overlay:
        fault = _fault(json.dumps(manifest)) if manifest["apiVersion"] in BUILT_IN_GROUPS else None
        if fault:
            yield f"{manifest['kind']} {manifest['metadata']['name']}: {fault}"


@functools.cache
def _fault(manifest: str) -> str | None:
    try:
        kubernetes_validate.validate(json.loads(manifest), KUBERNETES_VERSION, strict=True)
    except kubernetes_validate.ValidationError as fault:
        return str(fault.message)
    except kubernetes_validate.SchemaNotFoundError:
        return f"Kubernetes {KUBERNETES_VERSION} has no such kind"
    return None


def _identity(overlay: list[Manifest]) -> Iterator[str]:
    seen = Counter((found["kind"], found["metadata"]["name"]) for found in overlay)
    yield from (f"{kind} {name} is there twice" for (kind, name), count in seen.items() if count > 1)
    for found in overlay:
        if found["metadata"].get("namespace") != NAMESPACE:
            yield f"{found['kind']} {found['metadata']['name']} is in another namespace"
        if found["kind"] == "Secret":
            yield "a Secret is written down"


def _roles(overlay: list[Manifest]) -> Iterator[str]:
    deployments, jobs = _of(overlay, "Deployment"), _of(overlay, "Job")
    if set(deployments) != ROLE_NAMES:
        yield f"Deployments and the command table differ by {sorted(set(deployments) ^ ROLE_NAMES)}"
    for role in ROLES:
        [container] = deployments.get(role.name, {"spec": {"template": {"spec": {"containers": [{}]}}}})["spec"][
            "template"
        ]["spec"]["containers"]
        if container and container.get("args") != [role.module]:
            yield f"{role.name} does not run {role.module}"
    if "migrate" not in jobs:
        yield "no Job migrates the databases"
    if "topics" not in jobs and not _of(overlay, "KafkaTopic"):
        yield "nothing makes the topics"
    for name, job in jobs.items():
        for container in _containers(job["spec"]["template"]):
            [module] = container.get("args", ["?"])
            if importlib.util.find_spec(module.replace("?", "no_module")) is None:
                yield f"Job {name} runs {module}, which does not exist"


def _pods(overlay: list[Manifest]) -> Iterator[str]:
    for where, pod in _pods_of(overlay):
        spec = pod["spec"]
        context = spec.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser", 0) > 0:
            yield f"{where} may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{where} has no seccomp profile"
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{where} carries a token of the cluster"
        if spec.get("enableServiceLinks") is not False:
            yield f"{where} is told of services by variables such as CLICKS_API_PORT"
        if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{where} shares the machine's namespaces"
        mounts = {volume["name"] for volume in spec.get("volumes", [])} | {
            claim["metadata"]["name"] for claim in _claims(overlay, where)
        }
        for container in _containers(pod):
            yield from (f"{where}/{container['name']} {fault}" for fault in _container_faults(container, where, mounts))


def _claims(overlay: list[Manifest], where: str) -> list[Manifest]:
    kind, name = where.split()
    found: list[Manifest] = _of(overlay, kind)[name]["spec"].get("volumeClaimTemplates", [])
    return found


def _container_faults(container: Manifest, where: str, volumes: set[str]) -> Iterator[str]:
    context = container.get("securityContext", {})
    if context.get("allowPrivilegeEscalation") is not False or context.get("privileged"):
        yield "may gain rights"
    if context.get("capabilities") != {"drop": ["ALL"]}:
        yield "keeps capabilities"
    if context.get("readOnlyRootFilesystem") is not True and not where.startswith("StatefulSet"):
        yield "may write to its root"
    for kind in ("requests", "limits"):
        if set(container.get("resources", {}).get(kind, {})) != {"cpu", "memory"}:
            yield f"has no {kind} of cpu and memory"
    name, _, tag = container["image"].rpartition(":")
    if not name or tag == "latest" or "/" in tag:
        yield "has an image without a version"
    for mount in container.get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"mounts {mount['name']}, which is no volume"


def _probes(overlay: list[Manifest]) -> Iterator[str]:
    for name, deployment in _of(overlay, "Deployment").items():
        if name not in ROLE_NAMES:
            continue
        spec = deployment["spec"]["template"]["spec"]
        [container] = spec["containers"]
        if {port["name"]: port["containerPort"] for port in container.get("ports", [])} != {"http": HTTP_PORT}:
            yield f"{name} does not listen on http"
        for probe, path in (("readinessProbe", "/readyz"), ("livenessProbe", "/healthz")):
            if container.get(probe, {}).get("httpGet") != {"path": path, "port": "http"}:
                yield f"{name} has no {probe} on {path}"
        pause = container.get("lifecycle", {}).get("preStop", {}).get("sleep", {}).get("seconds", 0)
        if not pause or pause + STOP_SECONDS > spec.get("terminationGracePeriodSeconds", 30):
            yield f"{name} is not given time to stop"
        spread = {found["topologyKey"] for found in spec.get("topologySpreadConstraints", [])}
        if spread != {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}:
            yield f"{name} is not spread over machines and zones"


def _references(overlay: list[Manifest]) -> Iterator[str]:
    maps = _of(overlay, "ConfigMap")
    for where, pod in _pods_of(overlay):
        for container in _containers(pod):
            for source in container.get("envFrom", []):
                if source.get("configMapRef", {}).get("name") not in maps:
                    yield f"{where} reads a ConfigMap that is not there"
            for entry in container.get("env", []):
                yield from (f"{where} {fault}" for fault in _variable_faults(entry, maps))
        for volume in pod["spec"].get("volumes", []):
            if "secret" in volume and volume["secret"].get("secretName") not in OUTSIDE_SECRETS:
                yield f"{where} mounts a secret nobody is told to make"
            if "configMap" in volume and volume["configMap"].get("name") not in maps:
                yield f"{where} mounts a ConfigMap that is not there"


def _stores(overlay: list[Manifest]) -> Iterator[str]:
    """Each store that processes are pointed at is there."""
    services, maps = _of(overlay, "Service"), _of(overlay, "ConfigMap")
    for name, workload in _of(overlay, "StatefulSet").items():
        if workload["spec"].get("serviceName") not in services:
            yield f"StatefulSet {name} has no Service"
    clusters = {topic["metadata"]["labels"]["strimzi.io/cluster"] for topic in _of(overlay, "KafkaTopic").values()}
    for server in maps["tributary"]["data"]["KAFKA_BOOTSTRAP_SERVERS"].split(","):
        host = server.partition(":")[0]
        if host not in services and host.removesuffix("-kafka-bootstrap") not in clusters:
            yield f"nothing answers as {host}"
    for labels in _store_labels(overlay):
        is_ours = any(labels.items() <= found.items() for found in _labels(overlay))
        is_operators = labels.get("cnpg.io/cluster") in _of(overlay, "Cluster") or (
            labels.get("strimzi.io/cluster") in clusters
        )
        if not is_ours and not is_operators:
            yield f"pods may go to {labels}, which nothing has"


def _store_labels(overlay: list[Manifest]) -> list[dict[str, str]]:
    rules = _of(overlay, "NetworkPolicy")["all-to-stores"]["spec"]["egress"]
    return [peer["podSelector"]["matchLabels"] for rule in rules for peer in rule["to"] if "podSelector" in peer]


def _variable_faults(entry: Manifest, maps: dict[str, Manifest]) -> Iterator[str]:
    source = entry.get("valueFrom", {})
    if "secretKeyRef" in source and source["secretKeyRef"]["name"] not in OUTSIDE_SECRETS:
        yield f"{entry['name']} comes from a secret nobody is told to make"
    if "configMapKeyRef" in source and source["configMapKeyRef"]["name"] not in maps:
        yield f"{entry['name']} comes from a ConfigMap that is not there"
    is_secret = any(word in entry["name"] for word in ("DATABASE", "PASSWORD")) and not entry["name"].endswith("_FILE")
    if is_secret and "secretKeyRef" not in source:
        yield f"{entry['name']} is written down"


def _labels(overlay: list[Manifest]) -> list[dict[str, str]]:
    return [pod["metadata"]["labels"] for _, pod in _pods_of(overlay)]


def _services(overlay: list[Manifest]) -> Iterator[str]:
    labels = _labels(overlay)
    for name, service in _of(overlay, "Service").items():
        if service["spec"].get("type", "ClusterIP") != "ClusterIP":
            yield f"{name} is open to the world"
        if not any(service["spec"]["selector"].items() <= found.items() for found in labels):
            yield f"{name} selects no pod"
        if name in HTTP_ROLES and service["spec"]["selector"] != {NAME: name}:
            yield f"{name} leads to other pods"
        ports = {port["name"]: (port["port"], port.get("targetPort")) for port in service["spec"]["ports"]}
        if name in HTTP_ROLES and ports != {"http": (HTTP_PORT, "http")}:
            yield f"{name} is not on port {HTTP_PORT}"
    missing = HTTP_ROLES - set(_of(overlay, "Service"))
    if missing:
        yield f"no Service for {sorted(missing)}"
    for name, workload in _of(overlay, "Deployment", "StatefulSet").items():
        selector = workload["spec"]["selector"]["matchLabels"]
        if not selector.items() <= workload["spec"]["template"]["metadata"]["labels"].items():
            yield f"{name} does not own its pods"
        if workload["kind"] == "Deployment" and selector != {NAME: name}:
            yield f"{name} owns other pods"


def _scaling(overlay: list[Manifest]) -> Iterator[str]:
    scalers, budgets = _of(overlay, "HorizontalPodAutoscaler"), _of(overlay, "PodDisruptionBudget")
    if set(scalers) != HTTP_ROLES or set(budgets) != HTTP_ROLES:
        yield "an HTTP role is not scaled or not kept through a drain"
    for name, scaler in scalers.items():
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != ("Deployment", name) or name not in ROLE_NAMES:
            yield f"{name} scales something else"
        if not 2 <= scaler["spec"].get("minReplicas", 1) <= scaler["spec"]["maxReplicas"]:
            yield f"{name} may shrink to one"
        if "replicas" in _of(overlay, "Deployment").get(name, {"spec": {}})["spec"]:
            yield f"{name} has its replicas set twice"
    for name, budget in budgets.items():
        if budget["spec"]["selector"].get("matchLabels") != {NAME: name} or budget["spec"].get("maxUnavailable") != 1:
            yield f"{name}'s budget keeps something else"
    for name, scaled in _of(overlay, "ScaledObject").items():
        if scaled["spec"]["scaleTargetRef"]["name"] not in ROLE_NAMES:
            yield f"{name} scales something else"


def _ingress(overlay: list[Manifest]) -> Iterator[str]:
    found: dict[str, str] = {}
    for ingress in _of(overlay, "Ingress").values():
        notes = ingress["metadata"].get("annotations", {})
        for limit in ("proxy-body-size", "proxy-connect-timeout", "proxy-read-timeout", "proxy-send-timeout"):
            if f"nginx.ingress.kubernetes.io/{limit}" not in notes:
                yield f"no {limit}"
        longest = float(notes.get("nginx.ingress.kubernetes.io/proxy-read-timeout", 0))
        if longest <= EXPORT_DEADLINE_SECONDS:
            yield "a long statement is cut off at the ingress"
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                found[path["path"]] = path["backend"]["service"]["name"]
                if path["backend"]["service"].get("port") != {"name": "http"}:
                    yield f"{path['path']} leads to another port"
    if found != PATHS:
        yield f"paths lead to {found}"


def _arrows(overlay: list[Manifest]) -> Iterator[str]:
    policies = _of(overlay, "NetworkPolicy")
    everything = {"matchLabels": {"app.kubernetes.io/part-of": "tributary"}}
    if policies.get("default-deny", {}).get("spec") != {
        "podSelector": everything,
        "policyTypes": ["Ingress", "Egress"],
    }:
        yield "not everything is denied that no arrow allows"
    names = {labels.get(NAME) for labels in _labels(overlay)}
    inward: set[tuple[str, str]] = set()
    reached: set[str] = set()
    for name, policy in policies.items():
        if name == "prometheus-to-all":
            if policy["spec"] != PROMETHEUS_POLICY:
                yield "more than Prometheus is let in to the metrics, or it is not"
            continue
        target = policy["spec"]["podSelector"].get("matchLabels", {}).get(NAME)
        if target is not None and target not in names:
            yield f"{name} is about no pod"
        for rule in policy["spec"].get("ingress", []):
            inward |= {(source, str(target)) for source in _peers(rule.get("from", [{}]))}
        for rule in policy["spec"].get("egress", []):
            reached |= set(_peers(rule.get("to", [{}])))
    if inward != ARROWS:
        yield f"other arrows are open: {sorted(inward ^ ARROWS)}"
    if not {role for _, role in ARROWS} - {"gateway-api"} <= reached:
        yield "the gateway cannot reach a service"
    if "everywhere" in reached or "kube-system" not in reached:
        yield "pods may go anywhere, or find no names"


def _peers(peers: list[Manifest]) -> Iterator[str]:
    for peer in peers:
        labels = {
            **peer.get("podSelector", {}).get("matchLabels", {}),
            **peer.get("namespaceSelector", {}).get("matchLabels", {}),
        }
        yield from labels.values() if labels else ("everywhere",)


def _topics(overlay: list[Manifest]) -> Iterator[str]:
    # A resource may not be called by every name that a topic may have.
    topics = {topic["spec"].get("topicName", name): topic for name, topic in _of(overlay, "KafkaTopic").items()}
    if topics and set(topics) != set(TOPICS):
        yield f"topics differ by {sorted(set(topics) ^ set(TOPICS))}"
    for name, topic in topics.items():
        if name in TOPICS and topic["spec"].get("partitions") != TOPICS[name].partitions:
            yield f"{name} has other partitions"
        if topic["spec"].get("replicas") != 3 or topic["spec"].get("config", {}).get("min.insync.replicas") != 2:
            yield f"{name} is lost with a machine"
    for name, cluster in _of(overlay, "Cluster").items():
        if cluster["spec"].get("instances", 1) < 3 or "synchronous" not in cluster["spec"].get("postgresql", {}):
            yield f"{name} loses commits with a machine"
