"""An application with the routes and the bodies that services have, for the tests of the HTTP half."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal
from uuid import UUID

import httpx
from fastapi import APIRouter, Depends, FastAPI
from pydantic import Field
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared.kernel.errors import InvalidValue
from shared.runtime.health import Health
from shared.runtime.http_app import (
    MoneyModel,
    PathId,
    PlainText,
    QueryId,
    StrictModel,
    StrictRoute,
    create_app,
)
from shared.runtime.pagination import LIMIT_DEFAULT, Page, PageCursor, PageLimit, decode_cursor
from shared.runtime.principal import Principal, require_role
from shared.runtime.problem import conflict
from shared.runtime.settings import ProcessSettings

PLANTED = "planted"
JSON = {"content-type": "application/json"}


class Colour(Enum):
    """An enum field."""

    RED = "red"


class Line(StrictModel):
    """A nested model."""

    quantity: int
    price: MoneyModel


class Order(StrictModel):
    """A body with every kind of field."""

    name: Annotated[str, PlainText(20)]
    plain: str = ""
    note: Annotated[str | None, PlainText(20, min_length=0)] = None
    count: int | None = None
    ratio: Decimal | None = None
    at: datetime | None = None
    on: date | None = None
    ref: UUID | None = None
    colour: Colour | None = None
    kind: Literal["a", "b"] | None = None
    is_test: bool = False
    numbers: tuple[int, ...] = ()
    by_name: Annotated[dict[str, int], Field(default_factory=dict)]
    lines: tuple[Line, ...] = ()


def make_router() -> APIRouter:
    """Routes of the kinds that services have."""
    router = APIRouter(prefix="/v1", route_class=StrictRoute)

    @router.post("/orders", status_code=201)
    async def create(body: Order) -> dict[str, str]:
        return {name: repr(value) for name, value in body}

    @router.get("/orders")
    async def list_orders(
        limit: PageLimit = LIMIT_DEFAULT,
        cursor: PageCursor = None,
        q: Annotated[str | None, PlainText(20)] = None,
        affiliate_id: QueryId | None = None,
    ) -> Page[str]:
        return Page(items=[str(decode_cursor(cursor))] if cursor else [], next_cursor=None)

    @router.get("/orders/{order_id}")
    async def read(order_id: PathId) -> int:
        return order_id

    @router.get("/names/{name}")
    async def read_name(name: Annotated[str, PlainText(20)]) -> int:
        return len(name)

    @router.post("/staff")
    async def staff(body: Order, caller: Annotated[Principal, Depends(require_role("admin", "finance"))]) -> str:
        return caller.key_id

    @router.get("/fails/{how}")
    async def fails(how: str) -> None:
        if how == "conflict":
            raise conflict("order_taken", "There is one already.")
        if how == "value":
            raise InvalidValue("amount", "amount_malformed", "must be a plain decimal")
        raise RuntimeError(PLANTED)

    return router


async def hot_door(scope: Scope, receive: Receive, send: Send) -> None:
    """A plain ASGI door."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"x-request-id", b"forged")]})
    await send({"type": "http.response.body", "body": scope["path_params"]["offer_id"].encode()})


class HotDoor:
    """The same as the object that starlette takes for an ASGI application."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        await hot_door(scope, receive, send)


def make_app(environment: Literal["production", "test"] = "test", health: Health | None = None) -> FastAPI:
    """An application with the routes above."""
    settings = ProcessSettings.model_validate({"TRIBUTARY_ENV": environment, "broker": "embedded"})
    hot = Route("/c/{offer_id}", HotDoor(), methods=["GET", "HEAD"])
    return create_app(
        title="orders", settings=settings, health=health or Health(), routers=[make_router()], asgi_routes=[hot]
    )


@asynccontextmanager
async def calling(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of `app`."""
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://t") as client:
        yield client


def assert_problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of `answer`, which has the shape every problem has."""
    document: dict[str, Any] = answer.json()
    assert answer.status_code == status, document
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(document) == {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert document["status"] == status
    assert document["type"] == f"urn:tributary:problem:{document['code']}"
    assert document["request_id"] == answer.headers["x-request-id"]
    return document
