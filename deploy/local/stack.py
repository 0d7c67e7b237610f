"""The local network as a whole: what is started, in which order, and how it is known to be ready."""

import http.client
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from deploy.jobs.migrate import bring_to_newest
from deploy.local.broker_choice import BrokerChoice, choose_broker
from deploy.local.child import ChildCommand
from deploy.local.kafka import KafkaNode
from deploy.local.merged_log import MergedLog
from deploy.local.outside import create_topics, find_cluster_id
from deploy.local.postgres import PostgresServer
from deploy.local.provision import provision, provision_outside
from deploy.local.role_environment import LOOPBACK, NetworkPlan, choose_ports, public_url
from deploy.local.roles import PUBLIC_ROLE, ROLES, SERVICES, Role
from deploy.local.secret_files import check_secret_files, ensure_secret_files
from deploy.local.state_folder import StateFolder
from deploy.local.supervisor import Member, Supervisor
from deploy.local.wal_archive import find_backup_folder

ENGINE_READY_SECONDS: Final = 300.0
PROCESSES_READY_SECONDS: Final = 90.0
READY_PROBE_SECONDS: Final = 2.0

# Stopping takes 5 + 10 + 6 = 21 of the 25 seconds we are allowed, even if nothing stops by itself.
DOOR_STAGE, PROCESS_STAGE, ENGINE_STAGE = 0, 1, 2
DOOR_STOP_SECONDS: Final = 5.0
PROCESS_STOP_SECONDS: Final = 10.0
ENGINE_STOP_SECONDS: Final = 6.0


class Stack:
    """One local network on one state folder, whose lock the caller holds."""

    def __init__(self, state: StateFolder, *, checkout: Path, log: MergedLog, caller: Mapping[str, str]) -> None:
        self.state = state
        self._checkout = checkout
        self._caller = caller
        self.supervisor = Supervisor(log)

    def start(self) -> NetworkPlan:
        """Start everything and return when every process is ready. Raises: PlainProblem, StopRequested.

        On any failure the caller still has to call `supervisor.stop_all`.
        """
        host = self._caller.get("HOST") or LOOPBACK
        ports = choose_ports(self._caller, host=host)
        secrets = ensure_secret_files(self.state.keys)
        check_secret_files(secrets)
        broker = self._choose_broker()
        self.supervisor.say(f"event log: {broker.reason}")
        database_urls = self._start_engines(broker)
        url = public_url(self._caller, host=host, port=ports[PUBLIC_ROLE])
        plan = NetworkPlan(host, ports, database_urls, broker, secrets, url, self._caller)
        self.supervisor.run_while_watching(lambda: self._prepare_databases(database_urls))
        if broker.kind == "kafka":
            self.supervisor.run_while_watching(lambda: create_topics(broker.bootstrap_servers))
        self.state.announce(self.state.addresses, json.dumps({role.name: plan.own_url(role) for role in ROLES}))
        for role in ROLES:
            self.supervisor.add(self._member(role, plan))
        names = [role.name for role in ROLES]
        self.supervisor.wait_until_ready(names, timeout_seconds=PROCESSES_READY_SECONDS)
        return plan

    def _choose_broker(self) -> BrokerChoice:
        return choose_broker(
            asked=self._caller.get("BROKER") or "auto",
            outside_servers=self._caller.get("KAFKA_BOOTSTRAP_SERVERS", ""),
            remembered=self.state.broker_identity,
            build_node=lambda: KafkaNode.at(self.state.kafka, say=self.supervisor.say),
            find_cluster_id=find_cluster_id,
        )

    def _start_engines(self, broker: BrokerChoice) -> dict[str, str]:
        """Start what is ours to run, both at once; gives the database URL of every service."""
        urls = {service: self._caller.get(f"DATABASE_URL_{service.upper()}", "") for service in SERVICES}
        started = []
        if not all(urls.values()):
            archive = find_backup_folder(self.state.path, self._caller)
            server = PostgresServer.at(self.state.path, archive=archive)
            server.prepare()
            self.supervisor.say(f"backups: {archive.path if archive else 'none, BACKUP_FOLDER is not set'}")
            self.supervisor.say(f"PostgreSQL: data in {server.home.data}, socket in {server.home.sockets}")
            self.supervisor.add(_postgres_member(server))
            started.append("postgres")
            for service in SERVICES:
                urls[service] = urls[service] or server.url(
                    login=f"tributary_{service}", database=f"tributary_{service}"
                )
        if broker.node is not None:
            broker.node.prepare()
            self.supervisor.add(_kafka_member(broker.node))
            started.append("kafka")
        self.supervisor.wait_until_ready(started, timeout_seconds=ENGINE_READY_SECONDS)
        return urls

    def _prepare_databases(self, urls: Mapping[str, str]) -> None:
        outside = {service: url for service, url in urls.items() if self._caller.get(f"DATABASE_URL_{service.upper()}")}
        if len(outside) < len(urls):
            provision(PostgresServer.at(self.state.path).admin_url())
        if outside:
            provision_outside(outside, self._caller.get("DATABASE_ADMIN_URL"))
        bring_to_newest(urls, say=self.supervisor.say)

    def _member(self, role: Role, plan: NetworkPlan) -> Member:
        is_door = role.name == PUBLIC_ROLE
        return Member(
            name=role.name,
            command=ChildCommand(
                argv=(sys.executable, "-m", role.module), environment=plan.environment(role), cwd=self._checkout
            ),
            is_ready=_readiness(plan.host if is_door else LOOPBACK, plan.ports[role.name]),
            stop_stage=DOOR_STAGE if is_door else PROCESS_STAGE,
            stop_seconds_max=DOOR_STOP_SECONDS if is_door else PROCESS_STOP_SECONDS,
        )


def _postgres_member(server: PostgresServer) -> Member:
    return Member(
        name="postgres",
        command=server.command(),
        is_ready=server.is_ready,
        before_start=server.clear_leftovers,
        stop_stage=ENGINE_STAGE,
        stop_seconds_max=ENGINE_STOP_SECONDS,
    )


def _kafka_member(node: KafkaNode) -> Member:
    return Member(
        name="kafka",
        command=node.command(),
        is_ready=node.is_ready,
        stop_stage=ENGINE_STAGE,
        stop_seconds_max=ENGINE_STOP_SECONDS,
    )


def _readiness(host: str, port: int) -> Callable[[], bool]:
    address = LOOPBACK if host in {"0.0.0.0", ""} else ("::1" if host == "::" else host)  # noqa: S104 - compared with

    def is_ready() -> bool:
        connection = http.client.HTTPConnection(address, port, timeout=READY_PROBE_SECONDS)
        try:
            connection.request("GET", "/readyz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    return is_ready


def checkout_folder() -> Path:
    """The folder the packages `services`, `shared` and `deploy` are in."""
    return Path(os.path.abspath(__file__)).parents[2]
