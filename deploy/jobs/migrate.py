"""Databases, roles and migrations of every service, then exit. Harmless when all of it is there already.

Reads DATABASE_URL_<SERVICE> of all four, and DATABASE_ADMIN_URL where a service's own login may not create roles.
"""

import os
import sys

from deploy.local.problem import PlainProblem
from deploy.local.provision import provision_outside
from deploy.local.roles import SERVICES
from shared.runtime.migrations import upgrade


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
    except PlainProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    for service, url in urls.items():
        upgrade(url, service)
        print(f"{service}: at the newest revision")
    return 0


if __name__ == "__main__":
    sys.exit(main())
