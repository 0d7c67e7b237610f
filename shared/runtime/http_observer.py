"""What surrounds every HTTP request: its request id, its metrics, one access log line, and the last catch."""

import time
import traceback
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kernel.ids import new_id
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter, histogram
from shared.runtime.problem import internal_error, send_problem

CLIENT_GONE_STATUS: Final = 499
"""Logged and counted, never sent: the caller left before the answer."""

FRAMES_LOGGED_MAX: Final = 12
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_log = get_logger(__name__)

_requests = counter("http", unit="requests", meaning="HTTP requests answered", labels=("method", "route", "status"))
_duration = histogram(
    "http_request_duration",
    unit="seconds",
    meaning="From the request's headers to the end of the answer",
    labels=("method", "route"),
)


def request_id_of(scope: Scope) -> str:
    """The id of the request in `scope`: the gateway's once a principal is verified, until then our own."""
    return str(scope.get("state", {}).get("request_id", "")) or new_request_id()


def new_request_id() -> str:
    """A fresh request id, 32 hexadecimal characters that sort by time."""
    return new_id().hex


def route_template(scope: Scope) -> str:
    """The route's template, `/v1/offers/{offer_id}`, never the path itself; `unmatched` where there is none.

    A plain ASGI app may name its own by `scope["state"]["route_template"]`.
    """
    named = scope.get("state", {}).get("route_template")
    if named is not None:
        return str(named)
    effective = scope.get("fastapi", {}).get("effective_route_context")
    for route in (effective, scope.get("route")):
        template = getattr(route, "path_format", None)
        if isinstance(template, str):
            return template
    return "unmatched"


class RequestObserver:
    """ASGI middleware. Gives each request an id, measures and logs it, and answers 500 for what nothing caught.

    X-Request-Id of an answer is the request's id. One from outside is never taken over.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scope.setdefault("state", {})["request_id"] = new_request_id()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=scope["state"]["request_id"])
        started, status = time.perf_counter(), 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_request_id(message.get("headers", []), request_id_of(scope))}
            await send(message)

        try:
            await self._app(scope, receive, send_observed)
        except ClientDisconnect:
            status = CLIENT_GONE_STATUS
        except Exception as error:
            _log_failure(error)
            if status:
                raise  # the answer has begun: the server breaks the connection, so that nobody takes it for whole
            await send_problem(send_observed, internal_error(), request_id_of(scope))
        finally:
            _record(scope, status or CLIENT_GONE_STATUS, time.perf_counter() - started)


def _with_request_id(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"x-request-id"]
    return [*kept, (b"x-request-id", request_id.encode("ascii", "replace"))]


def _record(scope: Scope, status: int, duration_seconds: float) -> None:
    route = route_template(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    _requests.labels(method, route, str(status)).inc()
    _duration.labels(method, route).observe(duration_seconds)
    write = _log.debug if route in _PROBES and status < 400 else _log.info
    write(
        "http_request",
        method=method,
        route=route,
        status=status,
        duration_ms=round(duration_seconds * 1000, 2),
        request_id=request_id_of(scope),
    )


def _log_failure(error: Exception) -> None:
    """Where it broke, without the message: that may quote a row or a body."""
    frames = traceback.extract_tb(error.__traceback__)[-FRAMES_LOGGED_MAX:]
    causes = [type(cause).__name__ for cause in (error.__cause__, error.__context__) if cause is not None]
    _log.error(
        "http_request_failed",
        error=type(error).__name__,
        caused_by=causes,
        where=[f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    )
