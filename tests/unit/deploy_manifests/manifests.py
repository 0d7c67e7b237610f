"""Manifests as Python values, and what the command table says of each role."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from deploy.local.broker_choice import BrokerChoice
from deploy.local.role_environment import NetworkPlan
from deploy.local.roles import ROLES, SERVICES, Role, SecretFile

ROOT = Path(__file__).resolve().parents[3]
K8S = ROOT / "deploy" / "k8s"
BASE = K8S / "base"
OVERLAYS = ("local", "production")
KUSTOMIZATION = "kustomization.yaml"
PASSED_ON_BY_A_SHELL = {"PYTHONUNBUFFERED", "LOG_LEVEL"}

Manifest = dict[str, Any]


def read(path: Path) -> list[Manifest]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document is not None]


def listed_files(folder: Path) -> Iterator[Path]:
    """Files a kustomization names as resources or patches; folders are followed by whoever asks."""
    [kustomization] = read(folder / KUSTOMIZATION)
    for name in kustomization.get("resources", []):
        yield (folder / name).resolve()
    for patch in kustomization.get("patches", []):
        yield (folder / patch["path"]).resolve()


def resources(folder: Path) -> list[Manifest]:
    """Every object of a kustomization's own files, without patches."""
    [kustomization] = read(folder / KUSTOMIZATION)
    paths = [folder / name for name in kustomization.get("resources", [])]
    return [manifest for path in paths if path.is_file() for manifest in read(path)]


def by_name(kind: str, folder: Path = BASE) -> dict[str, Manifest]:
    return {found["metadata"]["name"]: found for found in resources(folder) if found["kind"] == kind}


def pod_spec(workload: Manifest) -> Manifest:
    spec: Manifest = workload["spec"]["template"]["spec"]
    return spec


def workloads() -> list[Manifest]:
    folders = (BASE, *(K8S / "overlays" / overlay for overlay in OVERLAYS))
    kinds = {"Deployment", "Job", "StatefulSet"}
    return [found for folder in folders for found in resources(folder) if found["kind"] in kinds]


def told_names(role: Role) -> set[str]:
    """Names of the environment that `make run` gives this role on a Kafka log."""
    plan = NetworkPlan(
        host="127.0.0.1",
        ports={found.name: 8080 for found in ROLES},
        database_urls={service: f"postgresql://{service}@postgres/{service}" for service in SERVICES},
        broker=BrokerChoice("kafka", "log-id", bootstrap_servers="kafka:9092"),
        secrets={kind: Path("/run/secrets") / kind.value for kind in SecretFile},
        public_url="https://tributary.example",
    )
    return set(plan.environment(role)) - PASSED_ON_BY_A_SHELL
