"""Create the topics that are missing and check that LOG_ID is this cluster's, then exit. Idempotent.

Reads KAFKA_BOOTSTRAP_SERVERS and LOG_ID. Consumers store LOG_ID with their positions, so a wrong one must show here.
`tributary topics create` does the same by the same functions.
"""

import os
import sys

from deploy.local.outside import create_topics, find_cluster_id
from deploy.local.problem import PlainProblem


def prepare_topics(servers: str, *, log_id: str | None) -> str:
    """Create what is missing; gives the cluster's id. Raises: PlainProblem when `log_id` is not that."""
    found = find_cluster_id(servers)
    create_topics(servers)
    if log_id != found:
        raise PlainProblem(f"LOG_ID is {log_id!r}, the cluster's id is {found!r}: set LOG_ID to that.")
    return found


def main() -> int:
    """0 when the topics exist and the log is the one that was named, 1 with a plain message otherwise."""
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        print("Not set: KAFKA_BOOTSTRAP_SERVERS.", file=sys.stderr)
        return 1
    try:
        found = prepare_topics(servers, log_id=os.environ.get("LOG_ID"))
    except PlainProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    print(f"topics exist on cluster {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
