"""Each process is told what is its own, and a taken port is named."""

import socket
from pathlib import Path

import pytest

from deploy.local.broker_choice import BrokerChoice
from deploy.local.problem import PlainProblem
from deploy.local.role_environment import NetworkPlan, as_login_of, choose_ports
from deploy.local.roles import ROLES, SERVICES, SecretFile


def _plan() -> NetworkPlan:
    return NetworkPlan(
        host="127.0.0.1",
        ports={role.name: 20_000 + number for number, role in enumerate(ROLES)},
        database_urls={name: f"postgresql://tributary_{name}@/tributary_{name}?host=/run/pg" for name in SERVICES},
        broker=BrokerChoice("embedded", "embedded"),
        secrets={kind: Path(f"/keys/{kind}") for kind in SecretFile},
        public_url="http://127.0.0.1:20007",
        caller={"PATH": "/bin", "DATABASE_ADMIN_URL": "postgresql://root:hush@db/postgres", "AWS_SECRET": "hush"},
    )


def test_process_sees_no_secret_of_others_nor_of_the_caller() -> None:
    for role in ROLES:
        environment = _plan().environment(role)

        assert {name for name in environment if name in set(SecretFile)} == {kind.value for kind in role.secrets}
        assert "hush" not in " ".join(environment.values())


def test_consumer_reads_the_embedded_log_with_its_own_login() -> None:
    role = next(role for role in ROLES if role.name == "commissions-worker")

    environment = _plan().environment(role)

    url = "postgresql://tributary_commissions@/tributary_conversions?host=/run/pg"
    assert environment["DATABASE_URL_CONVERSIONS"] == url
    assert "DATABASE_URL_CLICKS" not in environment


def test_login_moves_with_its_password() -> None:
    url = as_login_of("postgresql://me:pw@a:1/mine", "postgresql://you:xx@b:2/yours")

    assert url == "postgresql://me:pw@b:2/yours"


def test_taken_port_is_named_with_how_to_choose_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(PlainProblem, match=rf"Port {port} is taken[^$]*PORT=\d+ make run"):
            choose_ports({"PORT": str(port)}, host="127.0.0.1")


def test_every_process_gets_a_port_of_its_own() -> None:
    assert len(set(choose_ports({"PORT": "0"}, host="127.0.0.1").values())) == len(ROLES)
