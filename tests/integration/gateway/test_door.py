"""The door over real sockets: bytes pass as they came, identities from outside do not, and every limit holds."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from services.gateway.main import build_app
from services.gateway.settings import GatewaySettings
from shared.runtime.health import Health
from shared.runtime.http_client import RawProxy
from shared.runtime.keyring import Keyring
from shared.runtime.principal import PrincipalVerifier
from tests.conftest import TestPostgres
from tests.integration.gateway.conftest import ADMIN_KEY, GatewayClient, Network, settings_for
from tests.integration.gateway.sockets import EchoService, exchange, free_port, serving


@dataclass(slots=True)
class Door:
    """A served gateway with an echo behind it, and a principal verifier as conversions has one."""

    port: int
    echo: EchoService
    http: httpx.AsyncClient
    verifier: PrincipalVerifier


@asynccontextmanager
async def served(settings: GatewaySettings) -> AsyncIterator[tuple[int, httpx.AsyncClient]]:
    """A gateway on a port of its own, ready."""
    app = build_app(settings, Health())
    async with (
        serving(app, guarded=True) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http,
    ):
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.02)
        yield port, http


@pytest.fixture
async def door(postgres: TestPostgres, gateway_folder: Path) -> AsyncIterator[Door]:
    """A gateway whose clicks and conversions are echoes and whose commissions is down."""
    echo = EchoService()
    async with serving(echo) as upstream_port:
        settings = settings_for(
            postgres,
            gateway_folder,
            clicks_url=f"http://127.0.0.1:{upstream_port}",
            conversions_url=f"http://127.0.0.1:{upstream_port}",
            commissions_url=f"http://127.0.0.1:{free_port()}",
            trusted_proxy_cidrs="127.0.0.0/8",
        )
        verifier = PrincipalVerifier(Keyring.load(gateway_folder / "principals.json"), audience="conversions")
        async with served(settings) as (port, http):
            yield Door(port, echo, http, verifier)


def _get(target: str, *headers: str, method: str = "GET") -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "Host: gateway.example", "Connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


@pytest.mark.parametrize(
    "target",
    [
        "/c/1/2?sub1=%7E%2F%2f+a%20b&url=https%3A%2F%2Fshop.example%2F%3Fa%3D1&x=%E2%82%AC",
        "/c/1/2?a=1&a=2&;&&=&b",
        "/postback?merchant_id=1&click_id=a%2Fb&amount=1%2E0&sig=~!$'()*",
    ],
)
async def test_path_and_query_pass_as_they_came(door: Door, target: str) -> None:
    answer = await exchange(door.port, _get(target))

    assert answer.startswith(b"HTTP/1.1 200")
    assert door.echo.seen[-1]["target"] == target


async def test_a_body_passes_byte_for_byte(door: Door) -> None:
    body = b'{"amount" : "1.0",\r\n "x":"\xc3\xa9"}'

    answer = await door.http.post(
        "/postback?merchant_id=1",
        content=body,
        headers={"Content-Type": "application/json", "Tributary-Signature": "t=1,v1=ab"},
    )

    assert answer.json()["body"].encode("latin-1") == body
    assert door.echo.header("tributary-signature") == ["t=1,v1=ab"]
    assert door.echo.header("content-type") == ["application/json"]


async def test_a_chunked_body_passes(door: Door) -> None:
    request = (
        b"POST /postback?merchant_id=1 HTTP/1.1\r\nHost: g\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n"
    )

    assert (await exchange(door.port, request)).startswith(b"HTTP/1.1 200")
    assert door.echo.seen[-1]["body"] == "hello world"


async def test_a_head_is_passed_as_head_and_has_no_body(door: Door) -> None:
    answer = await exchange(door.port, _get("/c/1/2", method="HEAD"))

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200")
    assert body == b""
    assert door.echo.seen[-1]["method"] == "HEAD"


async def test_a_redirect_is_given_to_the_shopper_and_not_followed(door: Door) -> None:
    door.echo.status = 302
    door.echo.extra_headers = [(b"location", b"https://shop.example/?click_id=abc%7E"), (b"set-cookie", b"a=b")]

    answer = await door.http.get("/c/1/2")

    assert (answer.status_code, answer.headers["location"]) == (302, "https://shop.example/?click_id=abc%7E")
    assert answer.headers["set-cookie"] == "a=b"
    assert "ratelimit" not in answer.headers


async def test_no_identity_from_outside_reaches_a_service(door: Door) -> None:
    await exchange(
        door.port,
        _get(
            "/c/1/2",
            f"Authorization: Bearer {ADMIN_KEY}",
            f"X-API-Key: {ADMIN_KEY}",
            "Tributary-Principal: forged",
            "TRIBUTARY-PRINCIPAL: forged",
            "Tributary_Principal: forged",
            "X-Tenant: 1",
            "X-User-Id: 1",
            "X-Request-Id: chosen",
            "X-Real-IP: 9.9.9.9",
            "Forwarded: for=9.9.9.9",
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-For: 203.0.113.7, 127.0.0.9",
            "User-Agent: Shopper/1.0",
            "Sec-Purpose: prefetch",
        ),
    )

    whole = json.dumps(door.echo.seen[-1])
    assert "forged" not in whole
    assert ADMIN_KEY not in whole
    for name in ("x-tenant", "x-user-id", "x-real-ip", "forwarded", "x-forwarded-host", "authorization", "x-api-key"):
        assert door.echo.header(name) == []
    assert door.echo.header("x-forwarded-for") == ["203.0.113.7"]
    assert door.echo.header("user-agent") == ["Shopper/1.0"]
    assert door.echo.header("sec-purpose") == ["prefetch"]
    assert door.echo.header("x-request-id") not in ([], ["chosen"])


async def test_a_postback_token_in_the_authorization_header_reaches_conversions(door: Door) -> None:
    await door.http.get(
        "/postback?merchant_id=1", headers={"Authorization": "Bearer of-the-merchant", "X-API-Key": "k"}
    )

    assert door.echo.header("authorization") == ["Bearer of-the-merchant"]
    assert door.echo.header("x-api-key") == []


async def test_a_service_is_told_who_asks(door: Door, network: Network) -> None:
    headers = {"Authorization": f"Bearer {network.merchant.key}", "X-Forwarded-For": "203.0.113.7"}

    answer = await door.http.get("/v1/conversions?limit=1", headers=headers)

    principal = door.verifier.verify(door.echo.header("tributary-principal")[0], datetime.now(UTC))
    assert (principal.role, principal.merchant_id, principal.affiliate_id) == ("merchant", network.merchant_id, None)
    assert principal.client_address == "203.0.113.7"
    assert principal.request_id == answer.headers["x-request-id"] == door.echo.header("x-request-id")[0]
    assert door.echo.header("authorization") == []
    assert answer.headers["ratelimit-policy"] == '"key";q=2000;w=10'
    assert answer.headers["ratelimit"].startswith('"key";r=1999;t=')


async def test_a_principal_for_us_is_good_for_no_service(door: Door, network: Network) -> None:
    """The audience is the service: a leaked token opens one door, for a minute."""
    await door.http.get("/v1/clicks", headers={"Authorization": f"Bearer {network.affiliate.key}"})
    token = door.echo.header("tributary-principal")[0]

    with pytest.raises(Exception, match="401"):
        door.verifier.verify(token, datetime.now(UTC))
    assert (await door.http.get("/v1/me", headers={"Tributary-Principal": token})).status_code == 401


async def test_a_service_that_is_down_is_503(door: Door, network: Network) -> None:
    answer = await door.http.get("/v1/balance", headers={"Authorization": f"Bearer {network.affiliate.key}"})

    assert (answer.status_code, answer.json()["code"]) == (503, "upstream_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


async def test_a_service_that_takes_too_long_is_504(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = RawProxy.forward

    async def hasty(self: RawProxy, *arguments: object, **named: object) -> int:
        return await forward(self, *arguments, **{**named, "timeout_seconds": 0.2})  # type: ignore[arg-type]

    monkeypatch.setattr(RawProxy, "forward", hasty)
    door.echo.delay_seconds = 1.0

    answer = await door.http.get("/postback?merchant_id=1")

    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")


@pytest.mark.parametrize("path", ["/postback", "/v1/merchants"])
async def test_a_body_over_the_limit_is_413(door: Door, path: str) -> None:
    headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}

    answer = await door.http.post(path, content=b"x" * 65_537, headers=headers)

    assert answer.status_code == 413
    assert door.echo.seen == []


async def test_a_chunked_body_over_the_limit_is_413(door: Door) -> None:
    chunk = b"4000\r\n" + b"x" * 0x4000 + b"\r\n"
    head = b"POST /postback HTTP/1.1\r\nHost: g\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"

    answer = await exchange(door.port, head + chunk * 5 + b"0\r\n\r\n")

    assert answer.startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        ("GET /nowhere", 404),
        ("GET /v1/offers/1/2/3/4", 404),
        ("GET //v1/me", 404),
        ("GET /v1/me/", 404),
        ("GET /v1/../v1/me", 404),
        ("GET /V1/me", 404),
        ("GET /v1/%6de", 404),
        ("GET /v1/conversions/a%2Fapprove", 404),
        ("GET /c/1", 404),
        ("DELETE /v1/merchants", 405),
        ("POST /c/1/2", 405),
        ("OPTIONS /v1/me", 405),
        ("HEAD /v1/me", 405),
        ("BREW /postback", 405),
    ],
)
async def test_unknown_paths_and_methods_are_told_apart(door: Door, request_head: str, status: int) -> None:
    method, target = request_head.split()

    answer = await exchange(door.port, _get(target, f"Authorization: Bearer {ADMIN_KEY}", method=method))

    assert answer.startswith(f"HTTP/1.1 {status}".encode()) or (method == "BREW" and b" 400" in answer[:15])
    assert b"allow: " in answer or status != 405 or method == "BREW"
    assert door.echo.seen == []


async def test_metrics_are_for_our_own_network_only(door: Door) -> None:
    assert (await door.http.get("/metrics")).status_code == 200
    assert (await door.http.get("/metrics", headers={"X-Forwarded-For": "203.0.113.7"})).status_code == 404


async def test_the_front_page_says_where_to_go(door: Door) -> None:
    answer = await door.http.get("/")

    assert answer.json()["name"] == "Tributary"
    assert answer.json()["links"]["health"] == "/healthz"


async def test_requests_over_the_limit_are_429(postgres: TestPostgres, gateway_folder: Path, network: Network) -> None:
    settings = settings_for(postgres, gateway_folder, limit_key_per_second=0.5, limit_key_burst=5)
    async with served(settings) as (_, http):
        headers = {"Authorization": f"Bearer {network.finance.key}"}

        answers = [await http.get("/v1/me", headers=headers) for _ in range(7)]

    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
    assert [answer.headers["ratelimit"].split(";")[1] for answer in answers] == [
        f"r={n}" for n in (4, 3, 2, 1, 0, 0, 0)
    ]
    assert answers[-1].headers["ratelimit-policy"] == '"key";q=5;w=10'
    assert answers[-1].headers["retry-after"] == "2"
    assert answers[-1].json()["code"] == "rate_limited"


async def test_a_role_that_may_not_counts_against_its_key_too(
    postgres: TestPostgres, gateway_folder: Path, network: Network
) -> None:
    settings = settings_for(postgres, gateway_folder, limit_key_per_second=0.001, limit_key_burst=5)
    async with served(settings) as (_, http):
        headers = {"Authorization": f"Bearer {network.affiliate.key}"}

        statuses = [(await http.get("/v1/keys", headers=headers)).status_code for _ in range(7)]

    assert statuses == [403] * 5 + [429] * 2, "each 403 is an entry in the audit chain, which is kept for ever"


async def test_a_request_gets_a_fresh_id_whatever_it_brings(admin: GatewayClient) -> None:
    first = await admin.call("GET", "/v1/me", X_Request_Id="mine")
    second = await admin.call("GET", "/v1/me", X_Request_Id="mine")

    ids = {first.headers["x-request-id"], second.headers["x-request-id"]}
    assert len(ids) == 2
    assert "mine" not in ids
