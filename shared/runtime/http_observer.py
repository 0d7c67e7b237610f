"""What surrounds every HTTP request: its request id, its metrics, one access log line, and the last catch."""

import time
import traceback
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import structlog
from prometheus_client import Counter, Histogram
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kernel.errors import InvalidValue
from shared.kernel.ids import new_id
from shared.runtime.database import is_unavailable
from shared.runtime.database_timeout import DatabaseUnanswered
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter, histogram
from shared.runtime.problem import Problem, internal_error, problem_of_value, send_problem, unavailable
from shared.runtime.told_trace import Told
from shared.runtime.tracing import keeps, sends_spans, span

CLIENT_GONE_STATUS: Final = 499
"""Logged and counted, never sent: the caller left before the answer."""

FRAMES_LOGGED_MAX: Final = 12
_PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OUTAGES: Final = (DBAPIError, ConnectionError, DatabaseUnanswered, PoolTimeout)
_NOTHING_TOLD: Final = Told()
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
    hot_doors: plain ASGI applications by the path prefix they serve (`/c/`, `/postback`), asked before FastAPI, whose
    stack costs as much as a redirect. Their successes are counted but not logged: each leaves an event or a receipt.
    Those of a trace that is kept are logged: the service behind the proxy says so (told_trace.py).
    """

    def __init__(self, app: ASGIApp, *, hot_doors: Mapping[str, ASGIApp] | None = None) -> None:
        self._app = app
        self._hot_doors = dict(hot_doors or {})

    def _door_of(self, scope: Scope) -> ASGIApp:
        path: str = scope["path"]
        for prefix, door in self._hot_doors.items():
            if path.startswith(prefix) and (prefix.endswith("/") or len(path) == len(prefix)):
                scope["state"].update(route_template=prefix, is_hot=True)
                return door
        return self._app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = new_request_id()
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started, status = time.perf_counter(), 0

        async def send_observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": _with_request_id(message.get("headers", []), request_id_of(scope))}
            await send(message)

        try:
            await self._door_of(scope)(scope, receive, send_observed)
        except (Problem, InvalidValue) as refusal:
            if status:
                raise
            problem = refusal if isinstance(refusal, Problem) else problem_of_value(refusal)
            await send_problem(send_observed, problem, request_id_of(scope))
        except ClientDisconnect:
            status = CLIENT_GONE_STATUS
        except Exception as error:
            _log_failure(error)
            if status:
                raise  # the answer has begun: the server breaks the connection, so that nobody takes it for whole
            await send_problem(send_observed, _problem_of_failure(error), request_id_of(scope))
        finally:
            _record(scope, status or CLIENT_GONE_STATUS, time.perf_counter() - started, request_id)


def _problem_of_failure(error: Exception) -> Problem:
    """503 when the database went away under the request: the same one may be sent again. Else 500."""
    is_outage = isinstance(error, _OUTAGES) and is_unavailable(error)
    return unavailable(code="database_unavailable") if is_outage else internal_error()


def _with_request_id(headers: Any, request_id: str) -> list[tuple[bytes, bytes]]:
    kept = [(name, value) for name, value in headers if name.lower() != b"x-request-id"]
    return [*kept, (b"x-request-id", request_id.encode("ascii", "replace"))]


@lru_cache(maxsize=4_096)
def _instruments(method: str, route: str, status: int) -> tuple[Counter, Histogram]:
    """The two series of a kind of request; looking them up by labels costs more than counting."""
    return _requests.labels(method, route, str(status)), _duration.labels(method, route)


def _record(scope: Scope, status: int, duration_seconds: float, own_id: str) -> None:
    """Count, and log and trace what is neither a probe nor one of too many. own_id: ours, whoever the caller was."""
    route = route_template(scope)
    method = scope["method"] if scope["method"] in _METHODS else "other"
    count, duration = _instruments(method, route, status)
    count.inc()
    duration.observe(duration_seconds)
    told: Told = scope["state"].get("told_by_service", _NOTHING_TOLD)
    if status < 400 and (route in _PROBES or ("is_hot" in scope["state"] and told.trace_id is None)):
        return
    if sends_spans() and route not in _PROBES:
        _make_span(scope, told, own_id, f"{method} {route}", status, duration_seconds)
    _log.info(
        "http_request",
        method=method,
        route=route,
        status=status,
        duration_ms=round(duration_seconds * 1000, 2),
        request_id=request_id_of(scope),
        **told.fields,
    )


def _make_span(scope: Scope, told: Told, own_id: str, name: str, status: int, seconds: float) -> None:
    """Of the trace that a service told of, else of one named by the request id, which a principal carries inward."""
    request_id = request_id_of(scope)
    trace_id = told.trace_id or request_id
    if told.trace_id is None and not keeps(trace_id):
        return
    span(
        name,
        trace_id=trace_id,
        span_id=told.span_id or own_id[16:],
        parent_id=told.parent_id or (None if request_id == own_id or told.span_id else request_id[16:]),
        seconds=seconds,
        kind="server",
        attributes={"http.response.status_code": status, "tributary.request_id": request_id},
        failed=status >= 500,
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
