"""What the doctor asks of the databases and the log: reachable, the same log as ever, same time, newest migrations."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from deploy.cli.finding import Finding, fail, ok, warn
from deploy.cli.output import describe
from deploy.cli.place import database_as, find_log, run
from deploy.local.outside import find_cluster_id
from deploy.local.problem import PlainProblem
from deploy.local.roles import SERVICES
from deploy.local.state_folder import StateFolder
from shared.runtime.clock import SystemClock
from shared.runtime.migrations import find_revision, knows_revision, newest_revision

SKEW_WARN: Final = timedelta(seconds=2)
SKEW_FAIL: Final = timedelta(seconds=60)
"""A fifth of what a postback's signature allows (300 s)."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one database told. skew: its clock less ours. log_ids: of the positions stored there."""

    service: str
    revision: str | None
    skew: timedelta
    log_ids: frozenset[str]


def check_network(state: StateFolder) -> Iterator[Finding]:
    """The databases one by one, then what they say together about clock, migrations and log."""
    if state.holder() is None and not any(os.environ.get(f"DATABASE_URL_{service.upper()}") for service in SERVICES):
        yield warn("network", "nothing runs here", "Start it to have databases and log looked at: tributary up")
        return
    seen = []
    for service in SERVICES:
        check = f"database {service}"
        try:
            seen.append(run(_look(service)))
            yield ok(check, "reachable")
        except PlainProblem as problem:
            yield fail(check, problem.what, problem.remedy)
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            yield fail(check, f"not reachable: {describe(error)}", "Is PostgreSQL up, and its address right?")
    for found in seen:
        yield check_migration(found)
    if seen:
        yield check_clock(max((found.skew for found in seen), key=abs))
    yield check_log(state, seen)


def check_migration(found: Seen) -> Finding:
    """Is the database at the revision this program was written for?"""
    check, newest = f"migrations {found.service}", newest_revision(found.service)
    if found.revision == newest:
        return ok(check, f"at {newest}")
    if found.revision is not None and not knows_revision(found.service, found.revision):
        return fail(check, f"at {found.revision}, unknown to this version", "Run the version that migrated it.")
    at = found.revision or "none"
    return fail(check, f"at {at}, newest is {newest}", f"Run `tributary migrate {found.service}`.")


def check_clock(skew: timedelta) -> Finding:
    """Do this machine and PostgreSQL agree on the time?"""
    says = f"PostgreSQL is {skew.total_seconds():+.2f} s from here"
    if abs(skew) >= SKEW_FAIL:
        return fail("clock", says, "Set both clocks (NTP): signatures and click ages are judged by them.")
    if abs(skew) >= SKEW_WARN:
        return warn("clock", says, "Let NTP set both clocks.")
    return ok("clock", says)


def check_log(state: StateFolder, seen: list[Seen]) -> Finding:
    """Does the log answer, and is it the one that this network and its positions are of?"""
    log = find_log(state)
    stored = log.log_id
    if not stored:
        return warn(
            "log", "this network has not chosen one yet", "The first `tributary up` does; elsewhere set LOG_ID."
        )
    strangers = sorted({log_id for found in seen for log_id in found.log_ids} - {stored})
    if strangers:
        return fail(
            "log",
            f"positions of log {', '.join(strangers)}; this network lives on {stored}",
            "Go back to that log, or copy its events and run `tributary replay` for each consumer.",
        )
    if log.is_embedded:
        return ok("log", "embedded, in the databases above")
    servers = log.servers
    if not servers:
        return warn("log", f"Kafka cluster {stored}, address unknown", "Set KAFKA_BOOTSTRAP_SERVERS to have it asked.")
    try:
        answered = find_cluster_id(servers)
    except PlainProblem as problem:
        return fail("log", problem.what, f"{problem.remedy} Is Kafka up?".strip())
    if answered != stored:
        return fail("log", f"{servers} is cluster {answered}, not {stored}", "Set KAFKA_BOOTSTRAP_SERVERS as it was.")
    return ok("log", f"Kafka cluster {stored} at {servers}")


async def _look(service: str) -> Seen:
    clock = SystemClock()
    async with database_as(service, "migrate") as database:
        revision, log_ids = await find_revision(database), frozenset[str]()
        async with database.reading() as connection:
            if revision is not None:
                positions = await connection.exec_driver_sql("SELECT DISTINCT log_id FROM position")
                log_ids = frozenset(str(row.log_id) for row in positions)
            before = clock.now()
            theirs: datetime = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
            skew = theirs - (before + (clock.now() - before) / 2)
    return Seen(service, revision, skew, log_ids)
