"""HTTP out: the gateway's proxy, which passes bytes on as they came, and one client for calls of our own.

The proxy is aiohttp (six times httpx's rate) with the target taken as encoded already: yarl would otherwise rewrite
`%7E` and `%2F`, and with them the query that a merchant has signed.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from dataclasses import dataclass
from typing import Final

import aiohttp
import httpx
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from yarl import URL

from shared.runtime.fill import Fill
from shared.runtime.http_observer import request_id_of
from shared.runtime.logging import get_logger
from shared.runtime.problem import Problem, bad_request, body_too_large, send_problem, unavailable, upstream_timeout
from shared.runtime.told_trace import TRACE_HEADER, read_told

CONNECT_SECONDS: Final = 2.0
"""For a free connection and its handshake; a service that cannot be reached is known as soon."""

KEEP_ALIVE_SECONDS: Final = 4.0
"""Below the services' own idle limit, so that we rarely write into a connection that is just closing."""

PROXY_CONNECTIONS_MAX: Final = 400
SERVICE_CONNECTIONS_MAX: Final = 240
"""Of them, those to one service: a flood of clicks leaves the rest to what merchants report."""

HEADER_BYTES_MAX: Final = 32_768
WHOLE_BODY_BYTES_MAX: Final = 65_536
"""An upstream's answer up to this size is passed on in one piece."""

_HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_IDENTITY: Final = frozenset({"tributary-principal", "forwarded", "x-real-ip", "x-request-id", "x-tenant", "via"})
_IDENTITY_PREFIXES: Final = ("x-user-", "x-tenant-", "x-forwarded-", "x-original-", "x-rewrite-", "tributary-internal-")
_TOLD_TRACE: Final = TRACE_HEADER.decode("ascii")
_ANSWER_OURS: Final = frozenset({"date", "server", "x-request-id", _TOLD_TRACE})
"""The gateway's server writes its own."""

_log = get_logger(__name__)


def _is_identity(name: str) -> bool:
    """Headers that say who asks, or pose as such: they come from the gateway or not at all."""
    return name in _IDENTITY or name.startswith(_IDENTITY_PREFIXES) or "_" in name


def _named_by_connection(headers: Collection[tuple[bytes, bytes]]) -> set[str]:
    values = [value for name, value in headers if name.lower() == b"connection"]
    return {token.strip().lower().decode("latin-1") for value in values for token in value.split(b",")}


def _header_text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


class RawProxy:
    """Passes requests to services: raw path and query, streamed both ways, no redirects followed, nothing unpacked.

    Open and close it in the application's lifespan (`async with RawProxy() as proxy`).
    """

    def __init__(self, *, connections_max: int = PROXY_CONNECTIONS_MAX) -> None:
        self._connections_max = connections_max
        self._session: aiohttp.ClientSession | None = None
        self._fill = Fill("proxy", limit=connections_max)
        self._under_way = 0

    async def __aenter__(self) -> "RawProxy":
        """Open the connection pool."""
        connector = aiohttp.TCPConnector(
            limit=self._connections_max, limit_per_host=SERVICE_CONNECTIONS_MAX, keepalive_timeout=KEEP_ALIVE_SECONDS
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=HEADER_BYTES_MAX,
            max_field_size=HEADER_BYTES_MAX,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the pool and its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def forward(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        *,
        upstream_url: str,
        extra_headers: Mapping[str, str],
        strip_headers: Collection[str] = (),
        timeout_seconds: float,
        body_limit_bytes: int,
    ) -> int:
        """Pass one ASGI request to the service at `upstream_url` (scheme, host, port) and its answer back.

        extra_headers: ours, set after identity headers from outside are dropped. strip_headers: further names not to
        pass on, in lower case (`authorization`). timeout_seconds: for all of it. Gives the status sent: the service's,
        or our 400, 413, 503 (not reached, or gone) or 504 (no answer in time). Raises ClientDisconnect when the
        caller left, and ConnectionError when the service broke off within its answer.
        """
        body = _RequestBody(scope, receive, body_limit_bytes)
        try:
            body.check_declared_length()
            target = _target(scope, upstream_url)
            headers = _request_headers(scope, extra_headers, strip_headers)
            return await self._exchange(scope, send, target, headers, body, timeout_seconds)
        except Problem as problem:
            return await send_problem(send, problem, request_id_of(scope))

    async def _exchange(
        self,
        scope: Scope,
        send: Send,
        target: URL,
        headers: list[tuple[str, str]],
        body: "_RequestBody",
        seconds: float,
    ) -> int:
        if self._session is None:
            raise RuntimeError("the proxy is not open")
        has_begun = False
        self._enter(1)
        try:
            async with self._session.request(
                scope["method"],
                target,
                headers=headers,
                data=body.stream() if body.is_present else None,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS),
            ) as answer:
                start = {
                    "type": "http.response.start",
                    "status": answer.status,
                    "headers": _answer_headers(answer.raw_headers),
                }
                has_begun = True
                _keep_what_is_told(scope, answer.headers)
                await send(start)
                await _pass_answer(answer, send)
                return answer.status
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as fault:
            if body.fault is not None:
                raise body.fault from None
            _log.warning("upstream_failed", reason=type(fault).__name__, upstream=target.authority, begun=has_begun)
            if has_begun:
                raise ConnectionError("the service broke off within its answer") from None
            if isinstance(fault, TimeoutError) and not isinstance(fault, aiohttp.ConnectionTimeoutError):
                raise upstream_timeout() from None
            if isinstance(fault, aiohttp.ConnectionTimeoutError):
                self._fill.refused()
            raise unavailable(code="upstream_unavailable") from None
        finally:
            self._enter(-1)

    def _enter(self, change: int) -> None:
        self._under_way += change
        self._fill.set(self._under_way)


class _RequestBody:
    """The caller's body on its way through, never more than the limit."""

    def __init__(self, scope: Scope, receive: Receive, limit_bytes: int) -> None:
        headers = dict(scope["headers"])
        self._receive = receive
        self._limit_bytes = limit_bytes
        self._declared_bytes = int(headers.get(b"content-length", b"0"))
        self.is_present = self._declared_bytes > 0 or b"transfer-encoding" in headers
        self.fault: Problem | ClientDisconnect | None = None

    def check_declared_length(self) -> None:
        """Raises Problem 413 for a body that says it is too large."""
        if self._declared_bytes > self._limit_bytes:
            raise body_too_large(self._limit_bytes)

    async def stream(self) -> AsyncIterator[bytes]:
        """The body's pieces. What ends it early is kept in `fault`: aiohttp reports it as something else."""
        size, more = 0, True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                self.fault = ClientDisconnect()
                raise self.fault
            piece = message.get("body", b"")
            size += len(piece)
            if size > self._limit_bytes:
                self.fault = body_too_large(self._limit_bytes)
                raise self.fault
            if piece:
                yield piece
            more = message.get("more_body", False)


def _target(scope: Scope, upstream_url: str) -> URL:
    raw = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    if not raw.startswith(b"/") or not raw.isascii():
        raise bad_request("target_malformed", "Percent-encode the path and the query.")
    return URL(upstream_url.rstrip("/") + raw.decode("ascii"), encoded=True)


def _request_headers(
    scope: Scope, extra_headers: Mapping[str, str], strip_headers: Collection[str]
) -> list[tuple[str, str]]:
    dropped = _HOP_BY_HOP | _named_by_connection(scope["headers"]) | set(strip_headers) | {"host"}
    dropped = (dropped | {name.lower() for name in extra_headers}) - {"content-length"}
    headers = list(extra_headers.items())
    for raw_name, value in scope["headers"]:
        name = raw_name.lower().decode("latin-1")
        if name not in dropped and not _is_identity(name):
            headers.append((name, _header_text(value)))
    return headers


def _answer_headers(raw_headers: Collection[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    dropped = _HOP_BY_HOP | _ANSWER_OURS | _named_by_connection(raw_headers)
    return [(name.lower(), value) for name, value in raw_headers if name.lower().decode("latin-1") not in dropped]


def _keep_what_is_told(scope: Scope, headers: Mapping[str, str]) -> None:
    """Put what the service tells of the request where the observer finds it, for the request's log line."""
    trace, request_id = headers.get(_TOLD_TRACE), headers.get("x-request-id", "")
    scope["state"]["told_by_service"] = read_told(trace, None if request_id == request_id_of(scope) else request_id)


async def _pass_answer(answer: aiohttp.ClientResponse, send: Send) -> None:
    if answer.content_length is not None and answer.content_length <= WHOLE_BODY_BYTES_MAX:
        await send({"type": "http.response.body", "body": await answer.read()})
        return
    async for piece in answer.content.iter_any():
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


class HttpCallFailed(Exception):
    """A call of ours that got no usable answer. reason: unreachable, timeout, answer_too_large."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class HttpAnswer:
    """What came back. headers: names in lower case. body: not unpacked."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HttpClient:
    """Our own calls to others: one pool, one deadline over all of a call, bounded answers, no redirects, no proxies.

    It does not judge where a URL leads: a caller who takes URLs from people must check the address first.
    """

    def __init__(
        self, *, timeout_seconds: float = 5.0, connections_max: int = 50, answer_bytes_max: int = 65_536
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._answer_bytes_max = answer_bytes_max
        self._client = httpx.AsyncClient(
            timeout=httpx.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            limits=httpx.Limits(max_connections=connections_max, keepalive_expiry=KEEP_ALIVE_SECONDS),
            follow_redirects=False,
            trust_env=False,
            headers={"User-Agent": "Tributary/1", "Accept-Encoding": "identity"},
        )

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()

    async def request(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
    ) -> HttpAnswer:
        """One call, no retries. Raises HttpCallFailed; an error status is an answer."""
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._call(method, url, headers, body)
        except (TimeoutError, httpx.TimeoutException):
            raise HttpCallFailed("timeout") from None
        except (httpx.HTTPError, httpx.InvalidURL):
            raise HttpCallFailed("unreachable") from None

    async def _call(self, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | None) -> HttpAnswer:
        async with self._client.stream(method, url, headers=headers, content=body) as answer:
            received = bytearray()
            async for piece in answer.aiter_raw():
                received += piece
                if len(received) > self._answer_bytes_max:
                    raise HttpCallFailed("answer_too_large")
            return HttpAnswer(answer.status_code, {k.lower(): v for k, v in answer.headers.items()}, bytes(received))
