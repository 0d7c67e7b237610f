"""Write clicks into the click log, once each."""

from collections.abc import Sequence

from services.clicks.storage.click_store import ClickRow, ensure_month, insert_clicks
from shared.runtime.database import Session


async def log_clicks(session: Session, clicks: Sequence[ClickRow]) -> int:
    """Add those that are new; gives how many were. Idempotent by click ID. Makes the months they need."""
    months = {(click.clicked_at.year, click.clicked_at.month): click.clicked_at for click in clicks}
    for month in sorted(months):
        await ensure_month(session, months[month])
    return await insert_clicks(session, clicks) if clicks else 0
