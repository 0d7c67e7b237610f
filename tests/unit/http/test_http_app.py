"""Whatever is asked of a service's application, the answer to a refusal is a problem, and the log says where."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import httpx
import pytest
from fastapi import APIRouter
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from shared.kernel.errors import InvalidValue
from shared.runtime.health import Health
from shared.runtime.http_app import (
    create_app,
)
from shared.runtime.keyring import Keyring, create_keyring_file
from shared.runtime.principal import Principal, PrincipalSigner, PrincipalVerifier
from shared.runtime.problem import conflict
from shared.runtime.settings import ProcessSettings
from tests.unit.http.orders_app import JSON, PLANTED, assert_problem, calling, make_app


async def test_unknown_routes_wrong_methods_and_our_own_refusals() -> None:
    async with calling(make_app()) as client:
        assert assert_problem(await client.get("/nowhere"), 404)["code"] == "route_not_found"
        assert assert_problem(await client.get("/v1/orders/"), 404)["code"] == "route_not_found"
        wrong = await client.delete("/v1/orders")
        assert (assert_problem(wrong, 405)["code"], wrong.headers["allow"]) == ("method_not_allowed", "GET, POST")
        assert (await client.post("/c/5")).headers["allow"] == "GET, HEAD"
        assert assert_problem(await client.get("/v1/fails/conflict"), 409)["code"] == "order_taken"
        assert assert_problem(await client.get("/v1/fails/value"), 422)["errors"] == [
            {"field": "amount", "code": "amount_malformed", "message": "must be a plain decimal"}
        ]


async def test_a_failure_of_ours_tells_the_caller_its_request_id_and_the_log_where() -> None:
    async with calling(make_app()) as client:
        with capture_logs() as logs:
            answer = await client.get("/v1/fails/bug?secret=planted")

        document = assert_problem(answer, 500)
        failure = next(line for line in logs if line["event"] == "http_request_failed")
        access = next(line for line in logs if line["event"] == "http_request")
        assert document["errors"] == []
        assert (failure["error"], access["status"], access["route"]) == ("RuntimeError", 500, "/v1/fails/{how}")
        assert access["request_id"] == document["request_id"]
        assert PLANTED not in answer.text
        assert PLANTED not in str(logs)


async def test_a_request_id_from_outside_is_not_taken_over() -> None:
    async with calling(make_app()) as client:
        answer = await client.get("/c/5", headers={"X-Request-Id": "forged"})

        assert answer.headers.get_list("x-request-id") != ["forged"]
        assert len(answer.headers["x-request-id"]) == 32


async def test_who_asks_is_settled_before_what_is_asked(tmp_path: Path) -> None:
    create_keyring_file(tmp_path / "keys.json")
    keyring = Keyring.load(tmp_path / "keys.json")
    app = make_app()
    app.state.principal_verifier = PrincipalVerifier(keyring, "orders")

    def header(role: Literal["admin", "merchant"]) -> dict[str, str]:
        caller = Principal(role, "k1", 7 if role == "merchant" else None, None, "203.0.113.9", "theirs-1")
        return {"Tributary-Principal": PrincipalSigner(keyring).sign(caller, audience="orders", now=datetime.now(UTC))}

    async with calling(app) as client:
        bad, good = b'{"name":NaN}', b'{"name":"x"}'
        stranger = await client.post("/v1/staff?a=%00", content=bad, headers=JSON)
        twice = httpx.Headers([*header("admin").items(), *header("admin").items(), *JSON.items()])
        doubled = await client.post("/v1/staff", content=good, headers=twice)
        merchant = await client.post("/v1/staff", content=bad, headers=JSON | header("merchant"))
        clumsy = await client.post("/v1/staff", content=bad, headers=JSON | header("admin"))
        admin = await client.post("/v1/staff", content=good, headers=JSON | header("admin"))

        assert assert_problem(stranger, 401)["code"] == assert_problem(doubled, 401)["code"] == "unauthenticated"
        assert stranger.headers["www-authenticate"] == "Bearer"
        assert assert_problem(merchant, 403)["code"] == "role_not_allowed"
        assert assert_problem(clumsy, 422)["request_id"] == "theirs-1"
        assert (admin.json(), admin.headers["x-request-id"]) == ("k1", "theirs-1")


async def test_health_readiness_and_metrics() -> None:
    async def broken() -> str | None:
        return "database is away"

    health = Health()
    async with calling(make_app(health=health)) as client:
        assert (await client.get("/readyz")).status_code == 200
        health.add_check("database", broken)
        ready = await client.get("/readyz")
        await client.get("/v1/orders/77")
        metrics = await client.get("/metrics")

        assert (await client.get("/healthz")).status_code == 200
        assert (ready.status_code, ready.json()["problems"]) == (503, {"database": "database is away"})
        assert 'route="/v1/orders/{order_id}"' in metrics.text
        assert "/v1/orders/77" not in metrics.text


async def test_no_process_shows_a_document_of_its_own() -> None:
    for environment in ("production", "test"):
        async with calling(make_app(environment)) as client:
            for path in ("/docs", "/redoc", "/openapi.json"):
                assert (await client.get(path)).status_code == 404


def test_a_router_without_strict_routes_is_refused() -> None:
    router = APIRouter()
    router.add_api_route("/x", lambda: None)
    settings = ProcessSettings.model_validate({"TRIBUTARY_ENV": "test", "broker": "embedded"})

    with pytest.raises(TypeError, match="StrictRoute"):
        create_app(title="x", settings=settings, health=Health(), routers=[router])


async def test_a_hot_door_is_asked_before_fastapi_and_only_for_its_own_path() -> None:
    async def door(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/hot/taken":
            raise conflict("taken", "Taken.")
        if scope["path"] == "/hot/value":
            raise InvalidValue("click_id", "click_id_forged", "does not verify")
        if scope["path"] == "/hot/bug":
            raise RuntimeError(PLANTED)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"hot"})

    settings = ProcessSettings.model_validate({"TRIBUTARY_ENV": "test", "broker": "embedded"})
    doors: dict[str, ASGIApp] = {"/hot/": door, "/postback": door}
    app = create_app(title="x", settings=settings, health=Health(), routers=[], hot_doors=doors)
    async with calling(app) as client:
        with capture_logs() as logs:
            assert (await client.get("/hot/5?secret=1")).text == (await client.post("/postback")).text == "hot"
        assert logs == []
        assert_problem(await client.get("/hot/taken"), 409)
        assert assert_problem(await client.get("/hot/value"), 422)["errors"][0]["field"] == "click_id"
        assert_problem(await client.get("/hot/bug"), 500)
        assert_problem(await client.get("/postbacks"), 404)
        assert_problem(await client.get("/hot"), 404)
        assert 'route="/hot/"' in (await client.get("/metrics")).text
