"""Tombstones of erased clicks, and the click log without what they recorded of a shopper."""

from collections.abc import Collection
from datetime import datetime
from typing import Final

from shared.kernel.click_id import clicked_at_of
from shared.runtime.database import Session

_BLANK: Final = """
UPDATE click SET subs = '{}', aff_click_id = NULL, source = NULL, creative = NULL, ad_click_ids = '{}',
    deep_link = NULL, referrer_host = NULL, user_agent = NULL, ip_hash = NULL, visitor_key = NULL
FROM unnest($1::bytea[], $2::timestamptz[]) AS erased (id, at)
WHERE click_id = erased.id AND clicked_at = erased.at
    AND (subs, ad_click_ids) IS DISTINCT FROM ('{}'::jsonb, '{}'::jsonb)
    OR click_id = erased.id AND clicked_at = erased.at
    AND num_nonnulls(aff_click_id, source, creative, deep_link, referrer_host, user_agent, ip_hash, visitor_key) > 0
"""


async def add_tombstones(session: Session, click_ids: Collection[bytes], now: datetime) -> None:
    """Remember that these clicks are erased. Harmless when it is known."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO erased_click (click_id, erased_at) SELECT id, $2 FROM unnest($1::bytea[]) AS id"
        " ON CONFLICT DO NOTHING",
        (list(click_ids), now),
    )


async def find_erased(session: Session, click_ids: Collection[bytes]) -> set[bytes]:
    """Those of `click_ids` that are erased."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT click_id FROM erased_click WHERE click_id = ANY ($1::bytea[])", (list(click_ids),)
    )
    return {bytes(row.click_id) for row in result}


async def find_erased_since(session: Session, since: datetime) -> list[bytes]:
    """Clicks erased at or after `since`."""
    connection = await session.connection()
    result = await connection.exec_driver_sql("SELECT click_id FROM erased_click WHERE erased_at >= $1", (since,))
    return [bytes(row.click_id) for row in result]


async def blank_clicks(session: Session, click_ids: Collection[bytes]) -> int:
    """Leave of these clicks what is nobody's; gives how many had more."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE billable_click SET shopper = NULL WHERE click_id = ANY ($1::bytea[]) AND shopper IS NOT NULL",
        (list(click_ids),),
    )
    result = await connection.exec_driver_sql(
        _BLANK, (list(click_ids), [clicked_at_of(click_id) for click_id in click_ids])
    )
    return result.rowcount
