"""A page of the click log."""

from collections.abc import Sequence

from services.clicks.storage import click_store
from services.clicks.storage.click_store import ClickFilter, ListedClick
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def list_clicks(session: Session, wanted: ClickFilter, limit: int) -> Sequence[ListedClick]:
    """Clicks that match, newest first: one more than `limit` where there are more.

    The session decides whose clicks. Raises InvalidValue naming `to` when the interval is empty.
    """
    if wanted.from_at is not None and wanted.to_at is not None and wanted.to_at <= wanted.from_at:
        raise InvalidValue("to", "interval_empty", "must be later than from")
    return await click_store.list_clicks(session, wanted, limit + 1)
