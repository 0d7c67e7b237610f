"""How a process runs: uvicorn with our limits, supervised tasks, and an orderly stop within 25 seconds."""

import asyncio
import contextlib
import gc
import json
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Final, Protocol

import uvicorn

from shared.runtime.backoff import Outage
from shared.runtime.crowd import Network, Places
from shared.runtime.edge_guard import EdgeLimits, guarded_config, start_draining
from shared.runtime.event_log.interface import StatedStop
from shared.runtime.health import Health
from shared.runtime.larger_body import LargerBody
from shared.runtime.logging import get_logger
from shared.runtime.metrics import CONTENT_TYPE, render_metrics
from shared.runtime.settings import ProcessSettings
from shared.runtime.tracing import close_tracing

DESCRIPTORS_KEPT: Final = 1_000
"""Files beside the clients' connections: the proxy's, the databases', the log's, the program's own."""

LEAVE_SECONDS: Final = 1.0
"""How long a process that was told to stop still listens: whoever asks meanwhile is answered and told to leave, so that
no kept connection is closed in the face of its client's next request, and "not ready" is seen before "refused"."""

GRACEFUL_SECONDS: Final = 18
"""For requests and batches in hand; with LEAVE_SECONDS and what closing takes it stays under a supervisor's 25 s."""

_FORCED_POLL_SECONDS: Final = 0.05

STEADY_SECONDS: Final = 60.0
"""A task that ran this long before it failed is restarted without the delays of earlier failures."""

GARBAGE_THRESHOLD: Final = 5_000
"""Objects between two looks for garbage: a hundred requests in flight are no garbage, and looking costs a tenth."""

_log = get_logger(__name__)


class Runnable(Protocol):
    """A background task: a consumer, a relay, a follower, a sweep."""

    async def run(self) -> None:
        """Work until `stop`."""
        ...

    def stop(self) -> None:
        """Finish what is in hand and let `run` return."""
        ...


Closing = Callable[[], Awaitable[None]]


class _Server(uvicorn.Server):
    """uvicorn that treats SIGTERM as a normal end (exit code 0), says "not ready" first, and turns nobody away.

    before_closing: what is done between the signal and the end of listening.
    """

    def __init__(
        self, config: uvicorn.Config, on_signal: Callable[[], None], before_closing: Callable[[], Awaitable[None]]
    ) -> None:
        super().__init__(config)
        self._on_signal = on_signal
        self._before_closing = before_closing

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let everyone leave, then stop listening and wait for what is in hand."""
        start_draining(self.config)
        await asyncio.gather(self._before_closing(), self._let_everyone_leave())
        await self._stop_listening()
        await super().shutdown(sockets)

    async def _stop_listening(self) -> None:
        """Close the listeners, and take in those who had connected and still waited to be accepted.

        Closing alone would reset them: to their clients they are connected.
        """
        loop = asyncio.get_running_loop()
        waiting_rooms = [
            socket.socket(fileno=os.dup(listener.fileno())) for server in self.servers for listener in server.sockets
        ]
        for server in self.servers:
            server.close()
        await asyncio.sleep(0)
        for room in waiting_rooms:
            with room, contextlib.suppress(BlockingIOError):
                room.setblocking(False)
                while True:
                    connection, _ = room.accept()
                    await loop.connect_accepted_socket(self._protocol, connection)

    def _protocol(self) -> asyncio.Protocol:
        make: Callable[..., asyncio.Protocol] = self.config.http_protocol_class
        return make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

    async def _let_everyone_leave(self) -> None:
        leave_at = time.monotonic() + LEAVE_SECONDS
        while not self.force_exit and time.monotonic() < leave_at:
            await asyncio.sleep(_FORCED_POLL_SECONDS)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT without raising them again afterwards."""
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGINT):
                before = signal.signal(number, self.handle_exit)
                stack.callback(signal.signal, number, before)
            yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A second SIGINT no longer waits for requests in hand."""
        self._on_signal()
        super().handle_exit(sig, frame)


def _config(
    app: Any,
    settings: ProcessSettings,
    trusted: Sequence[Network] = (),
    reserved_paths: tuple[bytes, ...] = (),
    larger_bodies: tuple[LargerBody, ...] = (),
) -> uvicorn.Config:
    places = Places(
        all_max=_connections_possible(settings.connections_max),
        address_max=settings.connections_per_address_max,
        trusted=trusted,
        reserved_paths=reserved_paths,
    )
    return guarded_config(
        app,
        host=settings.host,
        port=settings.port,
        limits=EdgeLimits(places=places, larger_bodies=larger_bodies),
        graceful_seconds=GRACEFUL_SECONDS,
    )


def _connections_possible(connections: int) -> int:
    """As many, or fewer where the system lets this process open too few files; it is asked for enough first."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + DESCRIPTORS_KEPT
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    files = wanted if soft == resource.RLIM_INFINITY else soft
    return min(connections, max(files - DESCRIPTORS_KEPT, files // 2))


def _run(server: _Server, main: Callable[[], Awaitable[None]]) -> None:
    try:
        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(_awaited(main))
    finally:
        close_tracing()


async def _nothing() -> None:
    """An API has nothing to do before its listener closes but to go on answering."""


async def _awaited(main: Callable[[], Awaitable[None]]) -> None:
    await main()


def run_api(
    app: Any,
    settings: ProcessSettings,
    *,
    health: Health | None = None,
    trusted: Sequence[Network] = (),
    reserved_paths: tuple[bytes, ...] = (),
    larger_bodies: tuple[LargerBody, ...] = (),
) -> None:
    """Serve an ASGI app behind the edge guard until SIGTERM; requests in hand are finished first.

    What the app opens it closes in its own lifespan. trusted, reserved_paths: see Places; larger_bodies: see
    EdgeLimits.
    """
    config = _config(app, settings, trusted, reserved_paths, larger_bodies)
    server = _Server(config, health.start_draining if health else lambda: None, _nothing)
    _run(server, server.serve)
    if not server.started:
        raise SystemExit(1)


@contextlib.asynccontextmanager
async def background(tasks: Mapping[str, Callable[[], Awaitable[None]]], health: Health) -> AsyncIterator[None]:
    """Run an HTTP process's own tasks beside its requests: supervised as a worker's, cancelled at the end."""
    supervised = _supervised(tasks, health)
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
    try:
        yield
    finally:
        for task in supervised:
            task.cancel()
        await asyncio.gather(*supervised, return_exceptions=True)


def run_worker(
    tasks: Mapping[str, Runnable], health: Health, settings: ProcessSettings, *, closing: Sequence[Closing] = ()
) -> None:
    """Run named tasks until SIGTERM, and serve /healthz, /readyz and /metrics meanwhile.

    A task that raises is logged and started again with back-off; one that stopped on purpose (StatedStop) stays
    stopped and makes the process not ready. At the end tasks finish what they have in hand, then `closing` runs.
    """
    supervised: list[asyncio.Task[None]] = []

    async def finish() -> None:
        """Still answering on our port: "not ready" until all is finished, not silence."""
        mine, supervised[:] = supervised[:], []
        for task in tasks.values():
            task.stop()
        await _finish(mine)

    server = _Server(_config(health_app(health), settings), health.start_draining, finish)

    async def work() -> None:
        supervised.extend(_supervised({name: task.run for name, task in tasks.items()}, health))
        try:
            await server.serve()
        finally:
            await finish()
            for close in closing:
                await close()

    _run(server, work)
    if not server.started:
        raise SystemExit(1)


def _supervised(tasks: Mapping[str, Callable[[], Awaitable[None]]], health: Health) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(_supervise(name, run, health), name=name) for name, run in tasks.items()]


async def _finish(supervised: Sequence[asyncio.Task[None]]) -> None:
    if not supervised:
        return
    _, late = await asyncio.wait(supervised, timeout=GRACEFUL_SECONDS)
    for task in late:
        _log.warning("task_cancelled", task=task.get_name(), after_seconds=GRACEFUL_SECONDS)
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


async def _supervise(name: str, run: Callable[[], Awaitable[None]], health: Health) -> None:
    outage = Outage(name)
    never = asyncio.Event()
    state: dict[str, str] = {}

    async def check() -> str | None:
        return state.get("problem")

    health.add_check(f"task {name}", check)
    while True:
        started = time.monotonic()
        try:
            await run()
            return
        except StatedStop as stop:
            state["problem"] = str(stop)
            _log.error("task_stopped", task=name, reason=str(stop))
            return
        except Exception as error:
            _log.exception("task_failed", task=name)
            if time.monotonic() - started > STEADY_SECONDS:
                outage.recovered()
            state["problem"] = f"restarting after {type(error).__name__}"
            await outage.failed(error, never)
            del state["problem"]


def health_app(health: Health) -> Any:
    """The tiny ASGI app of a worker: /healthz (alive), /readyz (ready, or 503 and why), /metrics."""

    async def app(scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
        if scope["type"] == "lifespan":
            await _serve_lifespan(receive, send)
            return
        status, content_type, body = await _health_answer(health, scope["path"])
        headers = [(b"content-type", content_type.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


async def _serve_lifespan(receive: Callable[[], Awaitable[Any]], send: Callable[..., Any]) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _health_answer(health: Health, path: str) -> tuple[int, str, bytes]:
    if path == "/healthz":
        return 200, "application/json", b'{"status":"alive"}'
    if path == "/readyz":
        report = await health.report()
        body = json.dumps({"status": "ready" if report.ready else "not ready", "problems": report.problems})
        return (200 if report.ready else 503), "application/json", body.encode()
    if path == "/metrics":
        return 200, CONTENT_TYPE, render_metrics()
    return 404, "application/json", b'{"status":"unknown path"}'
