"""Which exchange rate a conversion's steps were decided by, or wait for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from shared.contracts.commissions import DecisionsV1
from shared.runtime.database import Session

_DECIDED: Final = """
    SELECT DISTINCT ON (conversion_id) conversion_id, decisions::text AS decisions FROM commission_step
    WHERE conversion_id = ANY ($1::uuid[]) AND (decisions -> 'rate' IS NOT NULL OR decisions -> 'awaits' IS NOT NULL)
    ORDER BY conversion_id, decisions -> 'rate' IS NULL, version
"""
_AWAITED: Final = """
    SELECT c.commission_id, first.decisions -> 'awaits' ->> 'base' AS base,
        first.decisions -> 'awaits' ->> 'quote' AS quote, (first.decisions -> 'awaits' ->> 'on')::date AS "on"
    FROM commission AS c
        CROSS JOIN LATERAL (
            SELECT decisions FROM commission_step AS s
            WHERE s.conversion_id = c.conversion_id AND decisions -> 'awaits' IS NOT NULL
            ORDER BY version LIMIT 1
        ) AS first
    WHERE c.status = 'held' ORDER BY c.recorded_at, c.commission_id LIMIT $1
"""


@dataclass(frozen=True, slots=True)
class AwaitedRate:
    """A held commission, and the pair and day that it waits for."""

    commission_id: UUID
    base: str
    quote: str
    on: date


async def find_rate_decisions(session: Session, conversion_ids: Sequence[UUID]) -> dict[UUID, DecisionsV1]:
    """By conversion: the step with its rate, else the first that waits for one. Others are left out."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(_DECIDED, (list(conversion_ids),))
    return {row.conversion_id: msgspec.json.decode(row.decisions, type=DecisionsV1) for row in result}


async def find_awaited(session: Session, *, limit: int) -> list[AwaitedRate]:
    """Held commissions that wait for a rate, the longest held first, at most `limit`."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(_AWAITED, (limit,))
    return [AwaitedRate(row.commission_id, row.base, row.quote, row.on) for row in result]
