"""The gateway's proxy over real sockets, in front of an upstream that tells what it got."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send
from structlog.testing import capture_logs

from shared.runtime.http_client import HttpCallFailed, HttpClient, RawProxy
from shared.runtime.http_observer import RequestObserver
from tests.unit.http.serving import serve

BODY_LIMIT_BYTES = 50_000
CLOSED_PORT_URL = "http://127.0.0.1:1"


async def upstream(scope: Scope, receive: Receive, send: Send) -> None:
    """Tells target, headers and body length; some paths misbehave."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message["body"]), message["more_body"]
    headers = [(b"content-type", b"application/json"), (b"x-request-id", b"theirs"), (b"set-cookie", b"a=1")]
    told: dict[str, Any] = {
        "method": scope["method"],
        "path": scope["raw_path"].decode(),
        "query": scope["query_string"].decode(),
        "headers": [[name.decode(), value.decode("utf-8")] for name, value in scope["headers"]],
        "size": size,
    }
    body, status = json.dumps(told).encode(), 200
    if scope["path"] == "/slow":
        await asyncio.sleep(1)
    if scope["path"] == "/redirect":
        status, headers = 302, [*headers, (b"location", b"https://shop.example/%7Ea?b=%2F")]
    if scope["path"] == "/gzip":
        body, headers = gzip.compress(body), [*headers, (b"content-encoding", b"gzip")]
    if scope["path"] == "/large":
        body = b"y" * 3_000_000
    if scope["path"] != "/large":
        length = 1_000_000 if scope["path"] == "/broken" else len(body)
        headers = [*headers, (b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    if scope["path"] == "/broken":
        await send({"type": "http.response.body", "body": b"z" * 70_000, "more_body": True})
        return
    await send({"type": "http.response.body", "body": body})


class Gate:
    """The least of a gateway: forwards everything, and keeps the statuses."""

    def __init__(self, proxy: RawProxy, upstream_url: str, timeout_seconds: float) -> None:
        self.statuses: list[int] = []
        self._proxy, self._upstream_url, self._timeout_seconds = proxy, upstream_url, timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        status = await self._proxy.forward(
            scope,
            receive,
            send,
            upstream_url=self._upstream_url,
            extra_headers={"Tributary-Principal": "ours", "X-Request-Id": "ours"},
            strip_headers={"authorization"},
            timeout_seconds=self._timeout_seconds,
            body_limit_bytes=BODY_LIMIT_BYTES,
        )
        self.statuses.append(status)


@asynccontextmanager
async def gateway(
    *, upstream_url: str = "", timeout_seconds: float = 5.0, service: ASGIApp = upstream
) -> AsyncIterator[tuple[httpx.AsyncClient, Gate]]:
    """A client in front of a gateway in front of the upstream, all over sockets."""
    async with serve(service) as upstream_port, RawProxy() as proxy:
        gate = Gate(proxy, upstream_url or f"http://127.0.0.1:{upstream_port}", timeout_seconds)
        async with (
            serve(RequestObserver(gate, hot_doors={"/hot": gate})) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            yield client, gate


async def raw_exchange(client: httpx.AsyncClient, head: bytes) -> bytes:
    """A request as literal bytes, and everything that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.base_url.port)
    writer.write(head + b"Connection: close\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


@pytest.mark.parametrize(
    "target",
    [
        "/a%7Eb/~c%2Fd/%2e%2e/../x?x=%7E%2F&y=~/&z=a+b%20c&sig=%aB",
        "/x?a=1&a=2&&=&b",
        "/x//y/./z?url=https://shop.example/?q=%C3%A9#",
        "/%ff%00?%ff=%00",
        "/x?q='\"<>|",
    ],
)
async def test_path_and_query_arrive_byte_for_byte(target: str) -> None:
    async with gateway() as (client, _):
        answer = await raw_exchange(client, f"GET {target} HTTP/1.1\r\nHost: t\r\n".encode())

        told = json.loads(answer.partition(b"\r\n\r\n")[2])
        assert f"{told['path']}?{told['query']}" == target.rstrip("#")


async def test_identity_comes_from_the_gateway_only() -> None:
    hostile = [
        "Tributary-Principal",
        "X-Tenant",
        "X-Tenant-Id",
        "X-User-Id",
        "X-User-Role",
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X-Real-IP",
        "Forwarded",
        "X-Request-Id",
        "x_user_id",
        "Tributary_Principal",
        "X-Original-URL",
        "Authorization",
        "Connection",
        "X-Named-By-Connection",
        "Keep-Alive",
        "TE",
        "Trailer",
        "Upgrade",
        "Proxy-Authorization",
    ]
    head = "GET /x HTTP/1.1\r\nHost: evil\r\nUser-Agent: caf\xe9\r\nX-Kept: yes\r\n"
    head += "".join(f"{name}: X-Named-By-Connection\r\n" for name in hostile)
    async with gateway() as (client, _):
        answer = await raw_exchange(client, head.encode("latin-1"))

        told = json.loads(answer.partition(b"\r\n\r\n")[2])["headers"]
        headers = dict(told)
        assert headers.pop("host").startswith("127.0.0.1:")
        assert headers == {
            "user-agent": "café",
            "x-kept": "yes",
            "tributary-principal": "ours",
            "x-request-id": "ours",
        }
        assert len(told) == 5


async def test_connection_cannot_strip_the_headers_we_set_nor_the_length() -> None:
    async with gateway() as (client, _):
        answer = await client.post(
            "/x", content=b"abc", headers={"Connection": "close, tributary-principal, content-length"}
        )

        told = answer.json()
        assert told["size"] == 3
        assert ["tributary-principal", "ours"] in told["headers"]


async def test_bodies_stream_both_ways() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 1_000

    async with gateway() as (client, gate):
        declared = await client.post("/x", content=b"x" * 40_000)
        chunked = await client.put("/x", content=pieces())
        large = await client.get("/large")

        assert declared.json()["size"] == chunked.json()["size"] == 40_000
        assert ["content-length", "40000"] in declared.json()["headers"]
        assert len(large.content) == 3_000_000
        assert gate.statuses == [200, 200, 200]


async def test_an_answer_is_passed_on_as_it_is() -> None:
    async with gateway() as (client, _):
        redirect = await client.get("/redirect")
        client.cookies.clear()
        head = await client.head("/x")
        client.cookies.clear()
        async with client.stream("GET", "/gzip") as packed:
            raw = b"".join([piece async for piece in packed.aiter_raw()])

        assert redirect.status_code == 302
        assert redirect.headers["location"] == "https://shop.example/%7Ea?b=%2F"
        assert redirect.headers["set-cookie"] == "a=1"
        assert redirect.headers.get_list("x-request-id") != ["theirs"]
        assert len(redirect.headers.get_list("date")) == 1
        assert head.status_code == 200
        assert json.loads(gzip.decompress(raw))["path"] == "/gzip"
        assert "cookie" not in dict(json.loads(gzip.decompress(raw))["headers"])


async def test_a_body_over_the_limit_is_413_declared_or_not() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(60):
            yield b"x" * 1_000

    async with gateway() as (client, gate):
        declared = await client.post("/x", content=b"x" * (BODY_LIMIT_BYTES + 1))
        chunked = await client.post("/x", content=pieces())

        assert (declared.status_code, chunked.status_code) == (413, 413)
        assert declared.json()["code"] == chunked.json()["code"] == "body_too_large"
        assert gate.statuses == [413, 413]


async def test_an_upstream_out_of_reach_is_503_and_a_slow_one_504() -> None:
    async with gateway(upstream_url=CLOSED_PORT_URL) as (client, gate):
        gone = await client.get("/x")

        assert (gone.status_code, gone.headers["retry-after"], gate.statuses) == (503, "1", [503])
        assert gone.headers["content-type"] == "application/problem+json"
        assert gone.json()["request_id"] == gone.headers["x-request-id"]
    async with gateway(timeout_seconds=0.1) as (client, gate):
        slow = await client.get("/slow")

        assert (slow.status_code, slow.json()["code"], gate.statuses) == (504, "upstream_timeout", [504])


async def test_a_broken_answer_is_not_taken_for_a_whole_one() -> None:
    async with gateway() as (client, _):
        with pytest.raises(httpx.RemoteProtocolError):
            await client.get("/broken")


async def test_our_own_client_bounds_time_and_size_and_follows_nothing() -> None:
    client = HttpClient(timeout_seconds=0.5)
    async with serve(upstream) as port:
        url = f"http://127.0.0.1:{port}"

        assert (await client.request("GET", f"{url}/redirect")).status == 302
        assert json.loads((await client.request("POST", f"{url}/x", body=b"abc")).body)["size"] == 3
        for path, reason in [("/slow", "timeout"), ("/large", "answer_too_large"), ("/broken", "answer_too_large")]:
            with pytest.raises(HttpCallFailed, match=reason):
                await client.request("GET", url + path)
    with pytest.raises(HttpCallFailed, match="unreachable"):
        await client.request("GET", CLOSED_PORT_URL)
    await client.close()


async def test_what_a_service_tells_of_a_hot_request_is_logged_and_goes_no_further() -> None:
    trace_id, request_id = "5" * 32, "6" * 32
    told: list[tuple[bytes, bytes]] = []

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0"), *told]})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> tuple[httpx.Response, list[Any]]:
        with capture_logs() as logs:
            answer = await client.get("/hot")
        return answer, [line for line in logs if line["event"] == "http_request"]

    async with gateway(service=service) as (client, _):
        assert (await ask())[1] == []

        told[:] = [(b"x-request-id", request_id.encode())]
        assert (await ask())[1] == []

        told[:] = [(b"x-request-id", request_id.encode()), (b"tributary-trace", trace_id.encode())]
        answer, (line,) = await ask()
        assert (line["trace_id"], line["service_request_id"]) == (trace_id, request_id)
        assert line["request_id"] == answer.headers["x-request-id"] != request_id
        assert "tributary-trace" not in answer.headers

        told[:] = [(b"tributary-trace", b'5" injected')]
        assert (await ask())[1] == []
