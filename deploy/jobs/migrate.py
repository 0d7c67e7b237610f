"""Databases, roles and migrations of every service, then exit. Harmless when all of it is there already.

Reads DATABASE_URL_<SERVICE> of all four, and DATABASE_ADMIN_URL where a service's own login may not create roles.
`tributary migrate` does the same by the same functions.
"""

import os
import sys
from collections.abc import Callable, Mapping

from deploy.local.problem import PlainProblem
from deploy.local.provision import provision_outside
from deploy.local.roles import SERVICES
from shared.runtime.migrations import SchemaNewer, newest_revision, upgrade


def bring_to_newest(urls: Mapping[str, str], *, say: Callable[[str], None]) -> None:
    """Every migration that is missing, `urls` by service; one transaction a service. `say` gets a line for each.

    Raises: PlainProblem for a database that a newer program has migrated; those before it are done.
    """
    for service, url in urls.items():
        try:
            upgrade(url, service)
        except SchemaNewer as newer:
            raise PlainProblem(
                f"The database of {newer.service} is at revision {newer.revision}, which this version does not know.",
                "Run the version that migrated it, or a later one; migrations are walked down with that version only.",
            ) from None
        say(f"{service}: at the newest revision, {newest_revision(service)}")


def main() -> int:
    """0 when every database is at its newest revision, 1 with a plain message when something is missing."""
    names = {service: f"DATABASE_URL_{service.upper()}" for service in SERVICES}
    missing = [name for name in names.values() if not os.environ.get(name)]
    if missing:
        print(f"Not set: {', '.join(missing)}.", file=sys.stderr)
        return 1
    urls = {service: os.environ[name] for service, name in names.items()}
    try:
        provision_outside(urls, os.environ.get("DATABASE_ADMIN_URL") or None)
        bring_to_newest(urls, say=print)
    except PlainProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
