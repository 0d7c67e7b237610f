"""`GET /v1/links`: an affiliate's ready links."""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from services.clicks.domain.catalogue import Catalogue
from services.clicks.domain.landing import SUB_NAMES
from services.clicks.domain.link_query import URL_CHARACTERS_MAX, VALUE_CHARACTERS_MAX
from services.clicks.usecases.list_links import LinkWishes, ReadyLink, list_links
from shared.kernel.clock import Clock
from shared.runtime.http_app import PlainText, QueryId, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_integer,
    decode_cursor,
    page_of,
)
from shared.runtime.principal import Principal, require_role

Affiliate = Annotated[Principal, Depends(require_role("affiliate"))]
Value = Annotated[str | None, PlainText(VALUE_CHARACTERS_MAX)]


class LinkAnswer(BaseModel):
    """A link for one offer. window_seconds: how old a click may be when its order arrives, both inclusive."""

    offer_id: int
    offer_name: str
    offer_version: int
    merchant_id: int
    affiliate_id: int
    url: str
    deep_link_hosts: list[str]
    window_min_seconds: int
    window_max_seconds: int


class LinkParameters(BaseModel):
    """What goes into each link's query."""

    sub1: Value = None
    sub2: Value = None
    sub3: Value = None
    sub4: Value = None
    sub5: Value = None
    sub6: Value = None
    sub7: Value = None
    sub8: Value = None
    sub9: Value = None
    sub10: Value = None
    aff_click_id: Value = None
    source: Value = None
    creative: Value = None
    url: Annotated[str | None, PlainText(URL_CHARACTERS_MAX)] = None
    offer_id: QueryId | None = None
    limit: PageLimit = LIMIT_DEFAULT
    cursor: PageCursor = None


_WRITTEN: Final = (*SUB_NAMES, "aff_click_id", "source", "creative")


def links_router(catalogue: Catalogue, clock: Clock, *, link_base: str) -> APIRouter:
    """The route, answered from memory."""
    router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["links"])

    @router.get("/links")
    async def get_links(caller: Affiliate, asked: Annotated[LinkParameters, Query()]) -> Page[LinkAnswer]:
        """Ready links, one for each offer the affiliate is enrolled in. sub1 … url: written into every link."""
        assert caller.affiliate_id is not None  # role affiliate
        affiliate_id = caller.affiliate_id
        given = {name: getattr(asked, name) for name in _WRITTEN}
        wishes = LinkWishes(
            parameters={name: value for name, value in given.items() if value is not None},
            deep_link=asked.url,
            offer_id=asked.offer_id,
            after_offer_id=_position(asked.cursor),
        )
        links = list_links(catalogue, affiliate_id, wishes, link_base=link_base, at=clock.now())
        shown, next_cursor = page_of(links, asked.limit, lambda link: {"after": link.plan.offer.offer_id})
        return Page(items=[_answer(link, affiliate_id) for link in shown], next_cursor=next_cursor)

    return router


def _position(cursor: str | None) -> int:
    return 0 if cursor is None else cursor_integer(decode_cursor(cursor, keys=("after",)), "after")


def _answer(link: ReadyLink, affiliate_id: int) -> LinkAnswer:
    version = link.plan.version
    return LinkAnswer(
        offer_id=link.plan.offer.offer_id,
        offer_name=link.plan.offer.name,
        offer_version=version.version,
        merchant_id=link.plan.offer.merchant_id,
        affiliate_id=affiliate_id,
        url=link.url,
        deep_link_hosts=list(version.allowed_hosts.names),
        window_min_seconds=version.window_min_seconds,
        window_max_seconds=version.window_max_seconds,
    )
