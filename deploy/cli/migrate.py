"""`tributary migrate`: bring databases to the revision this program was written for, or say how far they are."""

import os
from dataclasses import asdict, dataclass
from typing import Annotated, Final

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, complain, print_json, print_table
from deploy.cli.place import complete_service, database_as, known_service, run, state_folder
from deploy.jobs.migrate import bring_to_newest
from deploy.local.provision import provision_outside
from deploy.local.roles import SERVICES
from deploy.local.service_database import find_database_url
from shared.runtime.migrations import find_revision, knows_revision, newest_revision

BEHIND: Final = "behind"
NEWEST: Final = "newest"
NEWER: Final = "of a newer version"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where one database is. at: its revision, None before the first. standing: newest, behind, of a newer version."""

    service: str
    at: str | None
    newest: str | None

    @property
    def standing(self) -> str:
        """In words."""
        if self.at == self.newest:
            return NEWEST
        return BEHIND if self.at is None or knows_revision(self.service, self.at) else NEWER


def migrate(
    service: Annotated[
        str | None,
        typer.Argument(
            metavar="[SERVICE]",
            callback=lambda name: None if name is None else known_service(name),
            autocompletion=complete_service,
            help=f"{' | '.join(SERVICES)}; all of them without it.",
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Change nothing; exit 1 where a migration is missing.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Run the migrations that are missing, creating databases and roles where DATABASE_URL_<SERVICE> names them.

    Harmless when there is nothing to do. Exit 1 with --check when one is behind, or from a newer version.
    """
    services = SERVICES if service is None else (service,)
    if not check:
        _migrate(services)
    standings = [run(_look(name)) for name in services]
    if as_json:
        print_json([asdict(found) | {"standing": found.standing} for found in standings])
    else:
        print_table(
            ("SERVICE", "AT", "NEWEST", ""),
            [(found.service, found.at, found.newest, found.standing) for found in standings],
        )
    if any(found.standing != NEWEST for found in standings):
        raise typer.Exit(EXIT_PROBLEM)


def _migrate(services: tuple[str, ...]) -> None:
    state = state_folder()
    urls = {name: find_database_url(name, state=state, environment=os.environ) for name in services}
    named = {name: url for name in SERVICES if (url := os.environ.get(f"DATABASE_URL_{name.upper()}"))}
    if named:
        # all that are named, whichever is asked for: each service's log is read by the others' logins
        provision_outside(named, os.environ.get("DATABASE_ADMIN_URL") or None)
    bring_to_newest(urls, say=complain)


async def _look(service: str) -> Standing:
    async with database_as(service, "migrate") as database:
        return Standing(service, await find_revision(database), newest_revision(service))
