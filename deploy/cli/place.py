"""Where this command looks: the state folder, and a service's database as one of its roles."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import typer

from deploy.local.broker_choice import EMBEDDED
from deploy.local.problem import PlainProblem
from deploy.local.role_environment import LOOPBACK
from deploy.local.roles import SERVICES
from deploy.local.service_database import find_database_url
from deploy.local.stack import checkout_folder
from deploy.local.state_folder import StateFolder
from shared.runtime.database import Database

Result = TypeVar("Result")


def state_folder() -> StateFolder:
    """The folder of the network on this machine, whether or not it exists."""
    return StateFolder.from_environment(checkout_folder())


def run(act: Coroutine[Any, Any, Result]) -> Result:
    """Run to its end on a loop of our own."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(act)


@asynccontextmanager
async def database_as(service: str, role: str) -> AsyncIterator[Database]:
    """The database of `service` as its role `role` (staff, worker, migrate). Raises: PlainProblem where none is."""
    url = find_database_url(service, state=state_folder(), environment=os.environ)
    database = Database(url, role=f"{service}_{role}", pool_size=1, name=f"{service}-cli")
    try:
        yield database
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class LogPlace:
    """Which event log a network lives on. log_id: "" before one was chosen. servers: "" where nobody said."""

    log_id: str
    servers: str

    @property
    def is_embedded(self) -> bool:
        """True where events live in the producers' databases."""
        return self.log_id == EMBEDDED

    def required_servers(self) -> str:
        """Where to ask. Raises: PlainProblem."""
        if not self.servers:
            raise PlainProblem("No Kafka cluster is named here.", "Set KAFKA_BOOTSTRAP_SERVERS and LOG_ID.")
        return self.servers


def find_log(state: StateFolder) -> LogPlace:
    """The log of the network on `state`, else the one that LOG_ID and KAFKA_BOOTSTRAP_SERVERS name."""
    remembered = state.broker_identity.read_text().strip() if state.broker_identity.exists() else ""
    ports = state.kafka / "ports"
    own = f"{LOOPBACK}:{ports.read_text().split()[0]}" if ports.exists() else ""
    named = os.environ.get("LOG_ID", "") or (EMBEDDED if os.environ.get("BROKER") == EMBEDDED else "")
    return LogPlace(remembered or named, os.environ.get("KAFKA_BOOTSTRAP_SERVERS") or own)


def known_service(name: str) -> str:
    """`name` if it is a service."""
    if name not in SERVICES:
        raise typer.BadParameter(f"{name} is not one of {', '.join(SERVICES)}.")
    return name


def complete_service(incomplete: str) -> list[str]:
    """What the shell offers."""
    return [name for name in SERVICES if name.startswith(incomplete)]


ServiceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SERVICE", callback=known_service, autocompletion=complete_service, help=" | ".join(SERVICES)
    ),
]
