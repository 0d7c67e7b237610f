"""Create the topics that are missing and check that LOG_ID is this cluster's, then exit. Idempotent.

Reads KAFKA_BOOTSTRAP_SERVERS and LOG_ID. Consumers store LOG_ID with their positions, so a wrong one must show here.
"""

import os
import sys

from deploy.local.outside import create_topics, find_cluster_id
from deploy.local.problem import PlainProblem


def main() -> int:
    """0 when the topics exist and the log is the one that was named, 1 with a plain message otherwise."""
    servers = os.environ.get("KAFKA_BOOTSTRAP_SERVERS")
    if not servers:
        print("Not set: KAFKA_BOOTSTRAP_SERVERS.", file=sys.stderr)
        return 1
    try:
        found = find_cluster_id(servers)
        create_topics(servers)
    except PlainProblem as problem:
        print(problem, file=sys.stderr)
        return 1
    told = os.environ.get("LOG_ID")
    if told != found:
        print(f"LOG_ID is {told!r}, the cluster's id is {found!r}: set LOG_ID to that.", file=sys.stderr)
        return 1
    print(f"topics exist on cluster {found}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
