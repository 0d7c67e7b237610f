"""Write clicks into the click log, once each; of erased ones only what is nobody's."""

from collections.abc import Sequence
from dataclasses import replace

from services.clicks.storage.click_store import ClickRow, ensure_month, insert_clicks
from services.clicks.storage.erasure_store import find_erased
from shared.runtime.database import Session


async def log_clicks(session: Session, clicks: Sequence[ClickRow]) -> Sequence[ClickRow]:
    """Add those that are new; gives all as they may be kept. Idempotent by click ID. Makes the months they need."""
    months = {(click.clicked_at.year, click.clicked_at.month): click.clicked_at for click in clicks}
    for month in sorted(months):
        await ensure_month(session, months[month])
    if not clicks:
        return clicks
    erased = await find_erased(session, [click.click_id for click in clicks])
    kept = [_blank(click) if click.click_id in erased else click for click in clicks]
    await insert_clicks(session, kept)
    return kept


def _blank(click: ClickRow) -> ClickRow:
    return replace(
        click,
        subs={},
        aff_click_id=None,
        source=None,
        creative=None,
        ad_click_ids={},
        deep_link=None,
        referrer_host=None,
        user_agent=None,
        ip_hash=None,
        visitor_key=None,
    )
