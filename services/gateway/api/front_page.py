"""`GET /`: what this is, and where to go on."""

from fastapi import APIRouter
from pydantic import BaseModel

from shared.runtime.http_app import StrictRoute

front_page_router = APIRouter(route_class=StrictRoute, tags=["front page"])


class FrontPageAnswer(BaseModel):
    """links: path by what is found there."""

    name: str
    links: dict[str, str]


@front_page_router.get("/")
async def get_front_page() -> FrontPageAnswer:
    """Name and links of this network."""
    links = {
        "whoami": "/v1/me",
        "offers": "/v1/offers",
        "links": "/v1/links",
        "conversions": "/v1/conversions",
        "statements": "/v1/statements",
        "postback": "/postback",
        "health": "/healthz",
        "interface": "/docs",
        "openapi": "/openapi.json",
        "events": "/docs/events",
    }
    return FrontPageAnswer(name="Tributary", links=links)
