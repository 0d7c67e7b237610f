"""Where this command looks: the state folder, and a service's database as one of its roles."""

import asyncio
import os
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

import typer

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
