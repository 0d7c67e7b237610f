"""The click index: what clicks' own records add to conversions, by click ID."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from services.conversions.domain.conversion import ClickDetails
from services.conversions.storage.conversion_rows import as_json
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class ClickDetailRow:
    """One click of the index. click_id: 35 bytes."""

    click_id: bytes
    merchant_id: int
    affiliate_id: int
    details: ClickDetails


_INSERT = """
INSERT INTO click_detail (click_id, merchant_id, affiliate_id, subs, aff_click_id, source, creative, recorded_at)
SELECT click_id, merchant_id, affiliate_id, subs::jsonb, aff_click_id, source, creative, $8
FROM unnest($1::bytea[], $2::int[], $3::int[], $4::text[], $5::text[], $6::text[], $7::text[])
    AS given(click_id, merchant_id, affiliate_id, subs, aff_click_id, source, creative)
WHERE NOT EXISTS (SELECT FROM erased_click AS erased WHERE erased.click_id = given.click_id)
ON CONFLICT DO NOTHING
"""
_FIND = "SELECT click_id, subs, aff_click_id, source, creative FROM click_detail WHERE click_id = ANY($1::bytea[])"


async def insert_click_details(session: Session, clicks: Sequence[ClickDetailRow], now: datetime) -> None:
    """Add the clicks that are neither there yet nor erased."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        _INSERT,
        (
            [click.click_id for click in clicks],
            [click.merchant_id for click in clicks],
            [click.affiliate_id for click in clicks],
            [as_json(click.details.subs) for click in clicks],
            [click.details.aff_click_id for click in clicks],
            [click.details.source for click in clicks],
            [click.details.creative for click in clicks],
            now,
        ),
    )


async def find_click_details(session: Session, click_ids: Collection[bytes]) -> dict[bytes, ClickDetails]:
    """What is known by now of these clicks."""
    if not click_ids:
        return {}
    connection = await session.connection()
    result = await connection.exec_driver_sql(_FIND, (list(click_ids),))
    return {
        bytes(row["click_id"]): ClickDetails(row["subs"], row["aff_click_id"], row["source"], row["creative"])
        for row in result.mappings()
    }
