"""The route table: complete, disjoint, and agreed with by the routes behind it."""

import pytest
from fastapi.routing import APIRoute
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.routes import (
    BODY_MAX_BYTES,
    ROUTES,
    MethodNotAllowed,
    Route,
    RouteNotFound,
    RouteTable,
    roles_by_route,
)
from services.gateway.main import ROUTERS
from shared.runtime.audit_routes import audit_router
from shared.runtime.database import Database
from shared.runtime.strict_route import BODY_BYTES_MAX

TABLE = RouteTable(ROUTES)
OPERATIONS = {("GET", path) for path in ("/healthz", "/readyz", "/metrics")}
INTERFACE = {("GET", path) for path in ("/openapi.json", "/asyncapi.json", "/docs", "/docs/events")}


def _example(route: Route) -> bytes:
    return "/".join("7" if part.startswith("{") else part for part in route.template.split("/")).encode()


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.template}")
def test_every_route_is_found_by_its_path(route: Route) -> None:
    assert TABLE.find(route.method, _example(route)) is route


def test_our_own_routes_are_exactly_those_of_the_table() -> None:
    audit = audit_router("gateway", Database("postgresql://nobody@/nothing", role="gateway_staff"))
    served = {
        (method, route.path)
        for router in (*ROUTERS, audit)
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in route.methods or ()
    }

    listed = {(route.method, route.template) for route in ROUTES if route.owner == "gateway"}

    assert served == listed - OPERATIONS


def test_only_these_routes_are_open_to_strangers() -> None:
    strangers = {(route.method, route.template) for route in ROUTES if route.is_anonymous}

    assert strangers == {
        ("GET", "/c/{offer_id}/{affiliate_id}"),
        ("HEAD", "/c/{offer_id}/{affiliate_id}"),
        ("GET", "/postback"),
        ("POST", "/postback"),
        ("GET", "/"),
        *OPERATIONS,
        *INTERFACE,
    }


def test_limits_fit_what_stands_behind_them() -> None:
    assert BODY_MAX_BYTES == BODY_BYTES_MAX
    assert all(0 < route.deadline_seconds <= 60 for route in ROUTES)
    assert all(route.metering == "key" for route in ROUTES if not route.is_anonymous)
    assert {route.template for route in ROUTES if route.metering == "none"} >= {"/c/{offer_id}/{affiliate_id}"}


def test_two_routes_for_one_request_are_refused() -> None:
    with pytest.raises(ValueError, match="two routes"):
        RouteTable([*ROUTES, ROUTES[0]])


def test_a_wrong_method_names_the_right_ones() -> None:
    with pytest.raises(MethodNotAllowed) as refusal:
        TABLE.find("PUT", b"/v1/keys/abcdefgh")

    assert refusal.value.allowed == ("DELETE", "GET")


@pytest.mark.parametrize(
    "path",
    [
        b"",
        b"*",
        b"v1/me",
        b"//",
        b"/v1",
        b"/v1/",
        b"/v1//me",
        b"/v1/me/",
        b"/V1/ME",
        b"/v1/%6de",
        b"/c/1/2/",
        b"/c//2",
        b"/c/1/..",
        b"/c/./1",
        b"/c/1/%2e%2e",
        b"/c/1/a%2Fb",
        b"/c/1/a%5cb",
        b"/c/1/a\\b",
        b"/c/1/%00",
        b"/postback%3f",
        b"/c/1/" + b"9" * 301,
    ],
)
def test_paths_that_two_readers_could_read_differently_are_not_found(path: bytes) -> None:
    with pytest.raises(RouteNotFound):
        TABLE.find("GET", path)


@given(st.binary(max_size=80))
def test_any_path_finds_a_route_or_is_refused(path: bytes) -> None:
    try:
        route = TABLE.find("GET", b"/" + path)
    except (RouteNotFound, MethodNotAllowed):
        return
    assert len(route.template.split("/")) == (b"/" + path).count(b"/") + 1


def test_each_service_door_is_behind_the_table() -> None:
    """Roles the services check themselves are those of the table; the services' own tests hold the other half."""
    roles = roles_by_route(ROUTES)

    assert roles["POST", "/v1/conversions"] == {"merchant"}
    assert roles["GET", "/v1/links"] == {"affiliate"}
    assert "affiliate" not in roles["GET", "/v1/ledger"]
