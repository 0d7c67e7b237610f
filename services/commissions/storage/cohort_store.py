"""Cohorts of conversions whose offer version has tiers or a second level, and what month ends posted for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.kernel.period import Period, parse_period
from shared.runtime.database import Session

_OFFER_VERSIONS: Final = """
    SELECT payload FROM projection_entry WHERE event_type = 'offer_version_published'
        AND (position('"tiers":{'::bytea IN payload) > 0 OR position('"referral":{'::bytea IN payload) > 0)
"""
_COHORTS: Final = """
    SELECT DISTINCT c.offer_id, c.offer_version, c.conversion_event, c.affiliate_id, c.merchant_id, c.currency,
        to_char(c.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM') AS period
    FROM commission AS c JOIN unnest($1::int[], $2::int[]) AS of (offer_id, offer_version)
        USING (offer_id, offer_version)
    WHERE c.recorded_at < $4 AND c.changed_at >= $3
    ORDER BY 7, 1, 2, 3, 4, 6
"""
_ITEMS: Final = """
    SELECT c.commission_minor, c.margin_minor, last.payload, last.decisions::text AS decisions
    FROM commission AS c JOIN LATERAL (
        SELECT payload, decisions FROM commission_step AS s
        WHERE s.conversion_id = c.conversion_id ORDER BY version DESC, n DESC LIMIT 1) AS last ON true
    WHERE c.offer_id = $1 AND c.offer_version = $2 AND c.conversion_event = $3 AND c.affiliate_id = $4
        AND c.currency = $5 AND c.recorded_at >= $6 AND c.recorded_at < $7 AND c.status IN ('accrued', 'approved')
    ORDER BY c.recorded_at, c.commission_id
"""
_POSTED: Final = """
    SELECT coalesce(sum((inputs ->> 'posts_commission_minor')::numeric), 0) AS commission,
        coalesce(sum((inputs ->> 'posts_margin_minor')::numeric), 0) AS margin
    FROM finance_act WHERE inputs ? 'cohort' AND inputs ->> 'cohort' = $2 AND kind = $1
"""


@dataclass(frozen=True, slots=True)
class Cohort:
    """Which conversions. period: the month in which they were first recorded. currency: of their commissions."""

    offer_id: int
    offer_version: int
    event: str
    affiliate_id: int
    merchant_id: int
    currency: str
    period: Period

    @property
    def name(self) -> str:
        """The same for ever, so that what was posted for it is found again."""
        return f"{self.period}:{self.offer_id}:v{self.offer_version}:{self.event}:{self.affiliate_id}:{self.currency}"


@dataclass(frozen=True, slots=True)
class CohortRow:
    """One standing conversion: its last version's bytes and the decisions (JSON) that priced it."""

    commission_minor: int
    margin_minor: int
    payload: bytes
    decisions: str


async def claim_month(session: Session, *, now: datetime) -> Period | None:
    """The oldest closed month that is not settled, settled by this transaction; None where all are."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "INSERT INTO month_end (period, settled_at) SELECT period, $1 FROM period_close AS closed WHERE NOT EXISTS"
        " (SELECT 1 FROM month_end AS done WHERE done.period = closed.period) ORDER BY period LIMIT 1"
        " ON CONFLICT DO NOTHING RETURNING period",
        (now,),
    )
    period: str | None = result.scalar_one_or_none()
    return None if period is None else parse_period(period)


async def find_tiered_versions(session: Session) -> list[bytes]:
    """Payloads of the offer versions that have tiers or a second level."""
    connection = await session.connection()
    return [bytes(row.payload) for row in await connection.exec_driver_sql(_OFFER_VERSIONS)]


async def find_cohorts(
    session: Session, versions: Sequence[tuple[int, int]], period: Period, *, since: datetime
) -> list[Cohort]:
    """Cohorts of these offer versions, up to those of `period`, with a conversion that changed at `since` or later."""
    connection = await session.connection()
    offers, numbers = [offer for offer, _ in versions], [number for _, number in versions]
    result = await connection.exec_driver_sql(_COHORTS, (offers, numbers, since, period.end))
    return [_cohort(row) for row in result]


def _cohort(row: Any) -> Cohort:
    return Cohort(
        offer_id=row.offer_id,
        offer_version=row.offer_version,
        event=row.conversion_event,
        affiliate_id=row.affiliate_id,
        merchant_id=row.merchant_id,
        currency=row.currency,
        period=parse_period(row.period),
    )


async def find_items(session: Session, cohort: Cohort) -> list[CohortRow]:
    """The cohort's standing conversions, in order of recording."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _ITEMS,
        (
            cohort.offer_id,
            cohort.offer_version,
            cohort.event,
            cohort.affiliate_id,
            cohort.currency,
            cohort.period.start,
            cohort.period.end,
        ),
    )
    return [CohortRow(row.commission_minor, row.margin_minor, bytes(row.payload), row.decisions) for row in result]


async def sum_posted(session: Session, kind: str, cohort: Cohort) -> tuple[int, int]:
    """Commission and margin that earlier acts of `kind` posted for the cohort, in minor units."""
    connection = await session.connection()
    row = (await connection.exec_driver_sql(_POSTED, (kind, cohort.name))).one()
    return int(row.commission), int(row.margin)
