"""Conversions of settled bundles: inserted without what a postback brings along."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.conversions.domain.conversion import Conversion
from services.conversions.storage import conversion_rows as rows
from shared.runtime.database import Session

_NAMES: Final = ", ".join(name for name, _, _ in rows.ALL)
_INSERT: Final = (
    f"INSERT INTO conversion ({_NAMES}) SELECT "  # noqa: S608 (our own names)
    + ", ".join(f"coalesce({name}, '{{}}')::jsonb" if kind == "jsonb" else name for name, kind, _ in rows.ALL)
    + " FROM unnest("
    + ", ".join(
        f"${place}::{'text' if kind == 'jsonb' else kind}[]" for place, (_, kind, _) in enumerate(rows.ALL, start=1)
    )
    + f") AS given({_NAMES}) ON CONFLICT (merchant_id, event, dedupe_key) DO NOTHING RETURNING id"
)


async def insert_bundle_conversions(session: Session, conversions: Sequence[Conversion]) -> set[UUID]:
    """Insert those whose key is free; gives their ids. In key order, so that two workers never wait for each other."""
    columns = tuple([read(conversion) for conversion in conversions] for _, _, read in rows.ALL)
    connection = await session.connection()
    result = await connection.exec_driver_sql(_INSERT, columns)
    return {row.id for row in result}
