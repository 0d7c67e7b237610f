"""`GET /v1/clicks`: the click log of one affiliate, or of all for admin and finance."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from services.clicks.storage.click_store import ClickFilter, ListedClick
from services.clicks.usecases.list_clicks import list_clicks
from shared.kernel.click_id import ClickFlags, ClickIdInvalid, read_click_id, spell_click_id
from shared.runtime.database import Database
from shared.runtime.http_app import PlainText, QueryId, QueryInstant, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    CursorValue,
    Page,
    PageCursor,
    PageLimit,
    cursor_instant,
    cursor_parsed,
    decode_cursor,
    page_of,
)
from shared.runtime.principal import Principal, own_or_asked, require_role, tenant_of

_CURSOR_KEYS: Final = ("at", "id")
Reader = Annotated[Principal, Depends(require_role("affiliate", "admin", "finance"))]


class ClickAnswer(BaseModel):
    """One click. flags: names; empty for a click that counts. consent: null where the shopper was not asked."""

    click_id: str
    clicked_at: datetime
    offer_id: int
    offer_version: int
    affiliate_id: int
    flags: list[str]
    is_robot: bool
    subs: dict[str, str]
    aff_click_id: str | None
    source: str | None
    creative: str | None
    deep_link: str | None
    referrer_host: str | None
    consent: bool | None


def clicks_router(tenants: Database, staff: Database) -> APIRouter:
    """The route on its two databases: a tenant's reads pass row-level security, staff's see every row."""
    router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["clicks"])

    @router.get("/clicks")
    async def get_clicks(
        caller: Reader,
        limit: PageLimit = LIMIT_DEFAULT,
        cursor: PageCursor = None,
        offer_id: QueryId | None = None,
        affiliate_id: QueryId | None = None,
        from_at: Annotated[QueryInstant | None, Query(alias="from")] = None,
        to_at: Annotated[QueryInstant | None, Query(alias="to")] = None,
        sub1: Annotated[str | None, PlainText(255)] = None,
    ) -> Page[ClickAnswer]:
        """The click log, newest first. An affiliate's own; from, to: when it was clicked, `to` excluded."""
        wanted = ClickFilter(
            affiliate_id=own_or_asked(caller.affiliate_id, affiliate_id),
            offer_id=offer_id,
            from_at=from_at,
            to_at=to_at,
            sub1=sub1,
            before=_position(cursor),
        )
        tenant = tenant_of(caller)
        async with (tenants if tenant else staff).transaction(tenant=tenant) as session:
            clicks = await list_clicks(session, wanted, limit)
        shown, next_cursor = page_of(clicks, limit, _position_of)
        return Page(items=[_answer(click) for click in shown], next_cursor=next_cursor)

    return router


def flag_names(flags: int) -> list[str]:
    """The names of a click's flags, lower case, lowest bit first."""
    return [flag.name.lower() for flag in ClickFlags if flag and flags & flag and flag.name]


def _position_of(click: ListedClick) -> Mapping[str, CursorValue]:
    return {"at": click.clicked_at.astimezone(UTC).isoformat(), "id": spell_click_id(click.click_id)}


def _position(cursor: str | None) -> tuple[datetime, bytes] | None:
    if cursor is None:
        return None
    position = decode_cursor(cursor, keys=_CURSOR_KEYS)
    return cursor_instant(position, "at"), cursor_parsed(position, "id", _click_id)


def _click_id(text: str) -> bytes:
    try:
        return read_click_id(text)
    except ClickIdInvalid:
        raise ValueError("not a click ID") from None


def _answer(click: ListedClick) -> ClickAnswer:
    return ClickAnswer(
        click_id=spell_click_id(click.click_id),
        clicked_at=click.clicked_at,
        offer_id=click.offer_id,
        offer_version=click.offer_version,
        affiliate_id=click.affiliate_id,
        flags=flag_names(click.flags),
        is_robot=bool(click.flags & ClickFlags.ROBOT),
        subs=dict(click.subs),
        aff_click_id=click.aff_click_id,
        source=click.source,
        creative=click.creative,
        deep_link=click.deep_link,
        referrer_host=click.referrer_host,
        consent=click.consent,
    )
