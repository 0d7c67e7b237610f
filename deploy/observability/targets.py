"""`python -m deploy.observability.targets`: the processes that run here, as Prometheus's file_sd reads them.

`job` is a process's name in the command table. Exit code 1 where nothing runs.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any

from deploy.cli.place import state_folder
from deploy.cli.processes import find_running
from deploy.local.problem import PlainProblem
from deploy.local.role_environment import LOOPBACK
from deploy.local.roles import ROLES


def targets_of(ports: Mapping[str, int]) -> list[dict[str, Any]]:
    """One group a process. ports: by its name."""
    return [{"targets": [f"{LOOPBACK}:{port}"], "labels": {"job": name}} for name, port in ports.items()]


def main() -> int:
    """Print them."""
    names = {role.name for role in ROLES}
    try:
        found = find_running(state_folder())
    except PlainProblem as problem:
        sys.stderr.write(f"{problem.what} {problem.remedy}\n")
        return 1
    ports = {running.name: running.port for running in found if running.name in names and running.port}
    sys.stdout.write(json.dumps(targets_of(ports), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
