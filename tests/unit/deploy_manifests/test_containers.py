"""Dockerfile and compose file against the command table."""

import importlib.util
import re
from typing import Any

import pytest
import yaml

from deploy.local.roles import PUBLIC_ROLE, ROLES, Role
from deploy.local.secret_files import FILE_NAMES
from tests.unit.deploy_manifests.manifests import ROOT, told_names

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())
SERVICES: dict[str, Any] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
JOBS = {"migrate": "deploy.jobs.migrate", "topics": "deploy.jobs.topics"}


@pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)
def test_role_has_a_service_that_is_told_what_make_run_tells_it(role: Role) -> None:
    service = SERVICES[role.name]

    assert service["command"] == [role.module]
    assert set(service["environment"]) == told_names(role)
    assert service.get("secrets", []) == [FILE_NAMES[kind] for kind in role.secrets]
    for kind in role.secrets:
        assert service["environment"][kind.value] == f"/run/secrets/{FILE_NAMES[kind]}"
    assert "/readyz" in service["healthcheck"]["test"][-1]
    assert {found["condition"] for found in service["depends_on"].values()} == {"service_completed_successfully"}
    assert set(service["depends_on"]) == set(JOBS)
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}


def test_services_are_roles_jobs_and_stores() -> None:
    assert set(SERVICES) == {role.name for role in ROLES} | set(JOBS) | {"postgres", "kafka"}
    for name, module in JOBS.items():
        assert SERVICES[name]["command"] == [module]
        assert importlib.util.find_spec(module) is not None


def test_only_the_gateway_is_published() -> None:
    assert [name for name, service in SERVICES.items() if "ports" in service] == [PUBLIC_ROLE]
    assert SERVICES[PUBLIC_ROLE]["environment"]["TRUSTED_PROXY_CIDRS"] == "", "anyone could name any address"


def test_no_image_floats_and_ours_is_locked_down() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[a-z/]+:\d+\.\d+(\.\d+)?", service["image"]), name
        if name not in {"postgres", "kafka"}:
            assert service["user"] == "${TRIBUTARY_UID:-10001}"
            assert service["read_only"] is True
            assert service["cap_drop"] == ["ALL"]
    assert SERVICES["postgres"]["image"].startswith("postgres:18.")
    assert SERVICES["kafka"]["image"].startswith("apache/kafka:4.")
    assert SERVICES["kafka"]["environment"]["CLUSTER_ID"] == COMPOSE["x-told"]["LOG_ID"]


def test_secrets_are_files_and_passwords_come_from_outside() -> None:
    assert set(COMPOSE["secrets"]) == set(FILE_NAMES.values())
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable or "DATABASE" in variable:
                assert value.startswith(f"${{{variable}:?"), name


def test_image_has_pinned_stages_hashes_no_root_and_no_compiler() -> None:
    stages = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)

    assert len(stages) == 2
    assert all(re.fullmatch(r"python:3\.11\.\d+-slim-\w+", stage) for stage in stages)
    assert "--require-hashes -r image.lock" in DOCKERFILE
    assert "apt-get" not in FINAL_STAGE
    assert "pip install" not in FINAL_STAGE
    assert re.search(r"^USER 10001:10001$", FINAL_STAGE, re.MULTILINE)
    assert 'ENTRYPOINT ["python", "-m"]' in FINAL_STAGE


def _pins(lock: str) -> set[str]:
    return set(re.findall(r"^([a-z0-9_.-]+==[^ ;\\\\]+)", (ROOT / lock).read_text(), re.MULTILINE))


def test_image_holds_what_was_tested_and_none_of_what_tests_it() -> None:
    image, tested = _pins("deploy/image.lock"), _pins("requirements.lock")
    tools = {"pytest", "mypy", "ruff", "hypothesis", "playwright", "uv", "pip"}

    assert image
    assert image <= tested
    assert not {pin.partition("==")[0] for pin in image} & tools


def test_image_gets_what_it_copies() -> None:
    sources = re.findall(r"^COPY (?!--from)(\S+) ", DOCKERFILE, re.MULTILINE)
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}

    assert set(sources) == let_in
    assert all((ROOT / source).exists() for source in sources)
