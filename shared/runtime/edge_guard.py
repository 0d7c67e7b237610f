"""The guard at the socket: uvicorn's HTTP protocol with deadlines, size limits and no room for two readings.

uvicorn alone keeps idle, dripping and half-sent connections open for minutes and takes bodies of any size. Its parser
refuses bare line feeds, folded headers, doubled or mixed lengths; what it lets pass and a proxy might read otherwise
(two Hosts, `identity` before `chunked`, trailers, absolute targets, other versions) is refused here.

    uvicorn.Server(guarded_config(app, host="127.0.0.1", port=8080, limits=EdgeLimits(body_bytes_max=65_536)))
"""

import asyncio
import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from weakref import WeakKeyDictionary

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from shared.runtime.crowd import RETRY_AFTER_SECONDS, Crowd, Places
from shared.runtime.http_observer import new_request_id
from shared.runtime.larger_body import LargerBody, larger_body_at
from shared.runtime.metrics import counter
from shared.runtime.problem import Problem, problem_response

GRACEFUL_SECONDS: Final = 15
"""Within the 25 s a process has to stop, with time left for what comes after the last answer."""

_NEVER: Final = float("inf")
_DETAILS: Final[Mapping[int, tuple[str, str]]] = {
    400: ("request_malformed", "The request is no well-formed HTTP."),
    408: ("request_too_slow", "The request did not arrive in time."),
    413: ("body_too_large", "The body is larger than this address takes."),
    414: ("target_too_long", "Path and query together are too long."),
    431: ("headers_too_large", "The headers are too large or too many."),
    503: ("too_many_connections", "Too many connections for now. Try again in a moment."),
}

_refusals = counter(
    "edge", unit="refusals", meaning="Connections ended by the edge guard, by the status sent or 0", labels=("status",)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeLimits:
    """What one connection may ask of us. All deadlines are absolute: a drip does not renew them.

    first_byte_seconds: from connect to the first byte. head_seconds: from there to the end of the headers.
    body_seconds: for the whole body, while the application reads. idle_seconds: between requests.
    write_seconds: without the client taking a byte. linger_seconds: how long a refused client is listened to, so that
    it gets to read the refusal. pipelined_max: requests queued behind the one being answered. larger_bodies: paths with
    a body limit of their own. places: how many connections there may be.
    """

    first_byte_seconds: float = 3.0
    head_seconds: float = 3.0
    body_seconds: float = 6.0
    idle_seconds: float = 8.0
    write_seconds: float = 5.0
    linger_seconds: float = 1.0
    sweep_seconds: float = 0.25
    target_bytes_max: int = 8_192
    head_bytes_max: int = 16_384
    headers_max: int = 100
    body_bytes_max: int = 65_536
    pipelined_max: int = 64
    larger_bodies: tuple[LargerBody, ...] = ()
    places: Places = field(default_factory=Places)


class _Phase(enum.Enum):
    """Whose turn it is on a connection."""

    FIRST_BYTE = enum.auto()
    HEAD = enum.auto()
    BODY = enum.auto()
    APPLICATION = enum.auto()
    IDLE = enum.auto()
    REFUSED = enum.auto()


_SAYS_TIMEOUT: Final = frozenset({_Phase.HEAD, _Phase.BODY})
"""Phases in which a request has begun, so that 408 answers something."""

_OWED: Final = frozenset({_Phase.FIRST_BYTE, _Phase.HEAD, _Phase.BODY})
"""Phases that end with an answer or a deadline by themselves."""


class _Sweeper:
    """Looks at every connection of one server now and then: cheaper than a timer per request."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connections: set[Any], limits: EdgeLimits) -> None:
        self._loop = loop
        self._connections = connections
        self._sweep_seconds = limits.sweep_seconds
        self.crowd = Crowd(limits.places)
        self._scheduled = False

    def ensure_scheduled(self) -> None:
        """Sweep soon, and again until no connection is left."""
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_later(self._sweep_seconds, self._sweep)

    def _sweep(self) -> None:
        self._scheduled = False
        guarded = [connection for connection in self._connections if isinstance(connection, EdgeGuard)]
        for connection in guarded:
            connection.enforce_deadlines(self._loop.time())
        if guarded:
            self.ensure_scheduled()


_sweepers: WeakKeyDictionary[ServerState, _Sweeper] = WeakKeyDictionary()


class EdgeGuard(HttpToolsProtocol):
    """uvicorn's protocol with EdgeLimits. A refusal is a 400, 408, 413, 414, 431 or 503, and closes."""

    limits: ClassVar[EdgeLimits] = EdgeLimits()
    is_draining: ClassVar[bool] = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to count: the first byte is due."""
        super().connection_made(transport)
        self._fault = 0
        self._raw_head_bytes = 0
        self._body_bytes = 0
        self._body_bytes_max = self.limits.body_bytes_max
        self._pending_write_bytes = 0
        self._write_deadline = _NEVER
        self._running: RequestResponseCycle | None = None
        self._own_cycle: RequestResponseCycle | None = None
        self._enter(_Phase.FIRST_BYTE, self.limits.first_byte_seconds)
        sweeper = _sweepers.get(self.server_state)
        if sweeper is None:
            sweeper = _Sweeper(self.loop, self.connections, self.limits)
            _sweepers[self.server_state] = sweeper
        sweeper.ensure_scheduled()
        self._take_place(sweeper.crowd)

    def _take_place(self, crowd: Crowd) -> None:
        client = self.client[0] if self.client else ""
        self._crowd, self._place = crowd, crowd.enter(client)
        if crowd.has_room_for(client, self._place):
            return
        if crowd.refuse():
            self._refuse(503)
        else:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._crowd.leave(self._place)
        super().connection_lost(exc)

    def _enter(self, phase: _Phase, seconds: float) -> None:
        self._phase = phase
        self._deadline = self.loop.time() + seconds

    # --- deadlines

    def enforce_deadlines(self, now: float) -> None:
        """End the connection if its client has used up a deadline, or is idle where others have no place."""
        if self._phase is _Phase.IDLE and self._crowd.is_dense and not self.transport.is_closing():
            self.transport.close()
        elif self._write_deadline < now:
            self._judge_writing(now)
        elif self._deadline >= now:
            return
        elif self._phase is _Phase.REFUSED or self.transport.is_closing():
            self.transport.abort()  # close() waits for a client that takes nothing
        elif self._phase in _SAYS_TIMEOUT and self.flow.read_paused:
            self._deadline = now + self.limits.body_seconds  # we are not reading: not the client's fault
        else:
            self._refuse(408 if self._phase in _SAYS_TIMEOUT else 0)

    def _judge_writing(self, now: float) -> None:
        left_bytes = self.transport.get_write_buffer_size()
        if left_bytes < self._pending_write_bytes and not self.transport.is_closing():
            self._pending_write_bytes, self._write_deadline = left_bytes, now + self.limits.write_seconds
        else:
            self.transport.abort()

    def pause_writing(self) -> None:
        """The client is slower than we are: it has write_seconds to take something."""
        super().pause_writing()
        self._pending_write_bytes = self.transport.get_write_buffer_size()
        self._write_deadline = self.loop.time() + self.limits.write_seconds

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        self._write_deadline = _NEVER

    # --- refusals

    def _refuse(self, status: int) -> None:
        """Answer `status` (0: nothing) where an answer can still be told from another's, and end the connection."""
        _refusals.labels(str(status)).inc()
        answers = bool(status) and self._may_answer() and not self.transport.is_closing()
        self._drop_cycles()
        self._enter(_Phase.REFUSED, self.limits.linger_seconds)
        if answers:
            self.transport.write(_refusal(status))
        if status and self.transport.can_write_eof() and not self.transport.is_closing():
            # Closing with unread input resets the connection, and the client never sees an answer: read on a while.
            self.flow.resume_reading()
            self.transport.write_eof()
        else:
            self.transport.close()

    def _may_answer(self) -> bool:
        running = self._running
        earlier_is_running = running is not None and running is not self._own_cycle and not running.response_complete
        own_has_answered = self._own_cycle is not None and self._own_cycle.response_started
        return not (earlier_is_running or self.pipeline or own_has_answered)

    def _drop_cycles(self) -> None:
        self.pipeline.clear()
        for cycle in (self._running, self.cycle):
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.message_event.set()

    def send_400_response(self, msg: str) -> None:
        """uvicorn calls this for what its parser refuses. Nothing of the request is repeated."""
        self._refuse(self._fault or 400)

    def _unsupported_upgrade_warning(self) -> None:
        """Not a fault worth a log line: the request is answered as plain HTTP."""

    # --- the parser's events, in their order

    def data_received(self, data: bytes) -> None:
        """Feed the parser, unless this client has been refused."""
        if self._phase is _Phase.REFUSED:
            return
        self._raw_head_bytes += len(data)
        super().data_received(data)
        if self._phase is _Phase.HEAD and self._raw_head_bytes > self.limits.head_bytes_max:
            self._find_fault(431)
        if self._fault and not self._is_refused():
            self._refuse(self._fault)

    def _is_refused(self) -> bool:
        return self._phase is _Phase.REFUSED

    def _find_fault(self, status: int) -> None:
        """Remember the first fault; `data_received` acts on it when the parser has returned."""
        self._fault = self._fault or status

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._own_cycle = None
        self._body_bytes = 0
        self._enter(_Phase.HEAD, self.limits.head_seconds)

    def on_url(self, url: bytes) -> None:
        """A piece of the request's target."""
        super().on_url(url)
        if len(self.url) > self.limits.target_bytes_max:
            self._find_fault(414)

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one after the body began is a trailer, which could pose as a header."""
        if self._phase is not _Phase.HEAD:
            self._find_fault(400)
        elif len(self.headers) >= self.limits.headers_max:
            self._find_fault(431)
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole: judge it before the application hears of it."""
        larger = larger_body_at(self.url, self.limits.larger_bodies) if self.limits.larger_bodies else None
        self._body_bytes_max = larger.bytes_max if larger else self.limits.body_bytes_max
        self._find_fault(self._fault_of_head())
        if not self._fault and not self._crowd.serves(self.url):
            self._crowd.refuse()
            self._find_fault(503)
        self._raw_head_bytes = 0
        self._enter(_Phase.BODY, larger.seconds if larger else self.limits.body_seconds)
        if self._fault:
            return
        super().on_headers_complete()
        self._own_cycle = self.cycle
        if self.parser.should_upgrade():
            self.cycle.keep_alive = False  # what follows an upgrade request is not HTTP to the parser

    def _fault_of_head(self) -> int:
        version = self.parser.get_http_version()
        hosts = sum(name == b"host" for name, _ in self.headers)
        encodings = [value for name, value in self.headers if name == b"transfer-encoding"]
        if version not in ("1.0", "1.1") or hosts > 1 or (hosts == 0 and version == "1.1"):
            return 400
        if encodings and (version == "1.0" or len(encodings) > 1 or encodings[0].strip().lower() != b"chunked"):
            return 400
        if not self.url.startswith(b"/"):
            return 400
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > self.limits.head_bytes_max:
            return 431
        length = next((value for name, value in self.headers if name == b"content-length"), b"0")
        if int(length) > self._body_bytes_max:
            return 413
        if self.parser.should_upgrade() and (encodings or int(length)):
            return 400  # the parser takes this body for the other protocol's and drops it
        return 400 if len(self.pipeline) >= self.limits.pipelined_max else 0

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        if self._body_bytes > self._body_bytes_max:
            self._find_fault(413)
        if not self._fault:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole: from here the time is the application's."""
        self._raw_head_bytes = 0
        if self._fault:
            return
        self._phase, self._deadline = _Phase.APPLICATION, _NEVER
        if self.cycle.response_complete:
            self._enter(_Phase.IDLE, self.limits.idle_seconds)
        super().on_message_complete()

    def shutdown(self) -> None:
        """The listener is closed: leave too, unless somebody who was let in is still owed an answer.

        What has connected or begun to send is answered within its deadlines, and that answer ends the connection.
        """
        if self._phase not in _OWED:
            super().shutdown()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        if self.is_draining and not self.pipeline:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        """The answer is sent: the next request is due."""
        super().on_response_complete()
        if self._phase is _Phase.APPLICATION and self.cycle.response_complete:
            self._enter(_Phase.IDLE, self.limits.idle_seconds)


def guarded_protocol(limits: EdgeLimits) -> type[EdgeGuard]:
    """The protocol class for `uvicorn.Config(http=…)`; use `ws="none"` with it. Each server has its own."""
    return type("EdgeGuard", (EdgeGuard,), {"limits": limits})


def start_draining(config: uvicorn.Config) -> None:
    """From now on every answer of this server tells its client to leave (`Connection: close`), and ends the connection.

    config: made by guarded_config.
    """
    protocol = config.http
    if not (isinstance(protocol, type) and issubclass(protocol, EdgeGuard)):
        raise TypeError("only a guarded server can be drained")
    protocol.is_draining = True


def _refusal(status: int) -> bytes:
    """A whole response: a problem like any other, on a connection that ends."""
    code, detail = _DETAILS.get(status, ("refused", ""))
    _, headers, body = problem_response(Problem(status, code, detail), new_request_id())
    if status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[status] + lines + b"connection: close\r\n\r\n" + body


def guarded_config(
    app: ASGIApp, *, host: str, port: int, limits: EdgeLimits | None = None, graceful_seconds: int = GRACEFUL_SECONDS
) -> uvicorn.Config:
    """uvicorn's configuration for every process: guarded, silent (we log ourselves), and trusting no proxy header.

    limits: the defaults where None. graceful_seconds: for requests under way when the process is told to stop.
    """
    chosen = limits or EdgeLimits()
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=guarded_protocol(chosen),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # X-Forwarded-For would otherwise be believed from the same machine
        timeout_keep_alive=math.ceil(chosen.idle_seconds) + 2,  # the guard's own deadline comes first
        timeout_graceful_shutdown=graceful_seconds,
    )
