"""Postbacks that proved to be nobody's: counted per merchant, and the last hundred kept for its debugging."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from shared.runtime.database import Session

KEPT_PER_MERCHANT: Final = 100

_INSERT = """
INSERT INTO unauthenticated_postback (id, merchant_id, received_at, transport, outcome, request_id)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::timestamptz[], $4::text[], $5::int[], $6::text[])
"""
_COUNT = """
INSERT INTO unauthenticated_count (merchant_id, count) SELECT * FROM unnest($1::int[], $2::bigint[])
ON CONFLICT (merchant_id) DO UPDATE SET count = unauthenticated_count.count + excluded.count
"""
_FORGET = """
DELETE FROM unauthenticated_postback WHERE merchant_id = ANY($1::int[]) AND id NOT IN (
    SELECT kept.id FROM unnest($1::int[]) AS given(merchant_id), LATERAL (
        SELECT id FROM unauthenticated_postback u WHERE u.merchant_id = given.merchant_id ORDER BY id DESC LIMIT $2
    ) AS kept)
"""


@dataclass(frozen=True, slots=True)
class RejectedPostback:
    """One that was not authenticated. Holds nothing of what was sent."""

    id: UUID
    merchant_id: int
    received_at: datetime
    transport: str
    outcome: int
    request_id: str


async def insert_rejected(session: Session, rejected: Sequence[RejectedPostback], counts: Mapping[int, int]) -> None:
    """Add to the counts and to the last hundred, and forget what is older."""
    connection = await session.connection()
    merchants = sorted(counts)
    await connection.exec_driver_sql(_COUNT, (merchants, [counts[merchant] for merchant in merchants]))
    await connection.exec_driver_sql(
        _INSERT,
        (
            [r.id for r in rejected],
            [r.merchant_id for r in rejected],
            [r.received_at for r in rejected],
            [r.transport for r in rejected],
            [r.outcome for r in rejected],
            [r.request_id for r in rejected],
        ),
    )
    await connection.exec_driver_sql(_FORGET, (merchants, KEPT_PER_MERCHANT))
