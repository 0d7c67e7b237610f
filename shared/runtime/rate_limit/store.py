"""The limiter's few words with PostgreSQL: lease, count the processes, sweep."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.kernel.clock import Clock
from shared.kernel.token_bucket import Limit
from shared.runtime.database import Database, Session

SWEEP_ROWS: Final = 1_000
"""Buckets deleted in one transaction: short locks."""

# Rows are told apart by their order: the function's own `place` is null, as PL/pgSQL's loop has a variable of its own.
_LEASE: Final = (
    "SELECT granted, tokens_left FROM lease_tokens($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY"
    " ORDER BY ordinality"
)
_COUNT: Final = "SELECT count_limit_holders($1, $2)"
_SWEEP: Final = """
    WITH due AS (SELECT policy, caller FROM limit_bucket WHERE forget_at < clock_timestamp() LIMIT $1)
    DELETE FROM limit_bucket b USING due
    WHERE b.policy = due.policy AND b.caller = due.caller AND b.forget_at < clock_timestamp()
"""
_SWEEP_HOLDERS: Final = "DELETE FROM limit_holder WHERE seen_at < clock_timestamp() - interval '1 minute'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One bucket's line of a call.

    kept: tokens still in hand, which stay leased. returned: given back. restarts: PostgreSQL was away, and what the
    bucket holds counts for nothing but what is returned now. wanted: more tokens.
    """

    policy: str
    caller: str
    limit: Limit
    kept: int = 0
    returned: int = 0
    restarts: bool = False
    wanted: int = 0


@dataclass(frozen=True, slots=True)
class Grant:
    """What came of an Ask. tokens_left: in the bucket, after it."""

    granted: int
    tokens_left: float


async def lease_tokens(
    database: Database, holder: UUID, asks: Sequence[Ask], *, life_seconds: float
) -> Sequence[Grant]:
    """A Grant for each of `asks`, in one transaction. Their (policy, caller) differ, and are sorted: no deadlocks."""
    parameters = (
        holder,
        life_seconds,
        [ask.policy for ask in asks],
        [ask.caller for ask in asks],
        [ask.limit.tokens_per_second for ask in asks],
        [float(ask.limit.burst) for ask in asks],
        [float(ask.kept) for ask in asks],
        [float(ask.returned) for ask in asks],
        [ask.restarts for ask in asks],
        [float(ask.wanted) for ask in asks],
    )
    async with database.reading() as connection:
        rows = (await connection.exec_driver_sql(_LEASE, parameters)).all()
    return [Grant(int(row.granted), row.tokens_left) for row in rows]


async def count_holders(database: Database, holder: UUID, *, leaving: bool = False) -> int:
    """How many processes share the limits, this one included unless it is leaving; tells that it is there."""
    async with database.reading() as connection:
        counted: int = (await connection.exec_driver_sql(_COUNT, (holder, leaving))).scalar_one()
    return counted


async def forget_quiet_buckets(session: Session, clock: Clock) -> int:
    """Delete up to SWEEP_ROWS buckets that are full again with nothing leased: a step for Sweep. Gives how many."""
    del clock  # PostgreSQL's own counts here
    connection = await session.connection()
    await connection.exec_driver_sql(_SWEEP_HOLDERS)
    return (await connection.exec_driver_sql(_SWEEP, (SWEEP_ROWS,))).rowcount
