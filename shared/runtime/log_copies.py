"""Copies of an event outside its consumer's tables: outbox rows, which are the embedded log, and dead letters.

Found by a text in the payload, since neither table knows what its events are about: a scan of the table, for the rare
work that must find every copy.
"""

from collections.abc import Callable, Sequence
from typing import Final

from sqlalchemy.ext.asyncio import AsyncSession

SCAN_TIMEOUT_MS: Final = 300_000
"""A month of clicks in the embedded log takes seconds; longer than any statement of a door may."""

_HOLDS: Final = "EXISTS (SELECT FROM unnest($2::bytea[]) AS needle WHERE position(needle IN payload) > 0)"


async def rewrite_log(
    session: AsyncSession, *, topic: str, texts: Sequence[str], rewrite: Callable[[bytes], bytes]
) -> int:
    """Put `rewrite(payload)` in place of each payload of `topic` that holds one of `texts`; gives how many changed.

    Key, partition and offset stay, so that readers go on where they were. rewrite: gives the same bytes when asked
    about its own result.
    """
    connection = await session.connection()
    await connection.exec_driver_sql(f"SET LOCAL statement_timeout = {SCAN_TIMEOUT_MS}")
    found = await connection.exec_driver_sql(
        f"SELECT id, payload FROM outbox WHERE topic = $1 AND {_HOLDS}",  # noqa: S608 (our own text)
        (topic, _needles(texts)),
    )
    changed = [(row.id, after) for row in found if (after := rewrite(row.payload)) != row.payload]
    if changed:
        await connection.exec_driver_sql(
            "UPDATE outbox SET payload = given.payload FROM unnest($1::bigint[], $2::bytea[]) AS given (id, payload)"
            " WHERE outbox.id = given.id",
            ([outbox_id for outbox_id, _ in changed], [payload for _, payload in changed]),
        )
    return len(changed)


async def drop_letters(session: AsyncSession, *, topic: str, texts: Sequence[str]) -> int:
    """Delete the dead letters of `topic` that hold one of `texts`; gives how many."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"DELETE FROM dead_letter WHERE topic = $1 AND {_HOLDS}",  # noqa: S608
        (topic, _needles(texts)),
    )
    return result.rowcount


def _needles(texts: Sequence[str]) -> list[bytes]:
    return [text.encode("utf-8") for text in texts]
