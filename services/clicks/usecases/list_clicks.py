"""A page of the click log."""

from collections.abc import Sequence

from sqlalchemy import RowMapping
from sqlalchemy.ext.asyncio import AsyncSession

from services.clicks.storage import click_store
from services.clicks.storage.click_store import ClickFilter
from shared.kernel.errors import InvalidValue


async def list_clicks(session: AsyncSession, wanted: ClickFilter, limit: int) -> Sequence[RowMapping]:
    """Clicks that match, newest first: one more than `limit` where there are more.

    The session decides whose clicks. Raises InvalidValue naming `to` when the interval is empty.
    """
    if wanted.from_at is not None and wanted.to_at is not None and wanted.to_at <= wanted.from_at:
        raise InvalidValue("to", "interval_empty", "must be later than from")
    return await click_store.list_clicks(session, wanted, limit + 1)
