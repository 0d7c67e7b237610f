"""What each service's own application says of its routes, and what is written by hand beside the plain ASGI doors."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import APIRouter, FastAPI

from services.clicks.api.clicks import clicks_router
from services.clicks.api.links import links_router
from services.clicks.api.redirect_interface import REDIRECT_COMPONENTS, REDIRECT_PATHS
from services.clicks.domain.catalogue import Catalogue
from services.commissions import main as commissions_main
from services.conversions import main as conversions_main
from services.conversions.api.postback_interface import POSTBACK_COMPONENTS, POSTBACK_PATHS
from services.gateway import main as gateway_main
from shared.kernel.clock import Clock
from shared.runtime.audit_routes import audit_router
from shared.runtime.database import Database
from shared.runtime.health import Health
from shared.runtime.http_app import operations_router

_NOTHING: Final = cast(Database, None)
"""Routers take their databases; nothing here answers a request."""


@dataclass(frozen=True, slots=True)
class Source:
    """One service's part. paths, components: as in an OpenAPI document; schema names are the service's own."""

    service: str
    paths: Mapping[str, Mapping[str, Any]]
    components: Mapping[str, Any]


def read_sources() -> list[Source]:
    """Every service's routes. Builds no object graph: needs no database, no keys and no settings."""
    clicks = (links_router(Catalogue(), cast(Clock, None), link_base=""), clicks_router(_NOTHING, _NOTHING))
    return [
        _source("gateway", [operations_router(Health()), *gateway_main.ROUTERS]),
        _source("clicks", clicks, REDIRECT_PATHS, REDIRECT_COMPONENTS),
        _source("conversions", conversions_main.ROUTERS, POSTBACK_PATHS, POSTBACK_COMPONENTS),
        _source("commissions", commissions_main.ROUTERS),
    ]


def _source(
    service: str,
    routers: Sequence[APIRouter],
    paths: Mapping[str, Mapping[str, Any]] | None = None,
    components: Mapping[str, Any] | None = None,
) -> Source:
    app = FastAPI(title=service, version="1", separate_input_output_schemas=False)
    for router in (*routers, audit_router(service, _NOTHING)):
        app.include_router(router)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a duplicate operation would otherwise win silently
        document = app.openapi()
    own = document.get("components", {}).get("schemas", {})
    return Source(service, {**document["paths"], **(paths or {})}, {**own, **(components or {})})
