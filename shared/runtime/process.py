"""How a process runs: uvicorn with our limits, supervised tasks, and an orderly stop within 25 seconds."""

import asyncio
import contextlib
import gc
import json
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Final, Protocol

import uvicorn

from shared.runtime.backoff import Outage
from shared.runtime.edge_guard import guarded_config
from shared.runtime.event_log.interface import StatedStop
from shared.runtime.health import Health
from shared.runtime.logging import get_logger
from shared.runtime.metrics import CONTENT_TYPE, render_metrics
from shared.runtime.settings import ProcessSettings

GRACEFUL_SECONDS: Final = 20
"""For requests and batches in hand; with what closing takes it stays under the 25 s that a supervisor allows."""

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
    """uvicorn that treats SIGTERM as a normal end (exit code 0) and says "not ready" first."""

    def __init__(self, config: uvicorn.Config, on_signal: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_signal = on_signal

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


def _config(app: Any, settings: ProcessSettings) -> uvicorn.Config:
    return guarded_config(app, host=settings.host, port=settings.port, graceful_seconds=GRACEFUL_SECONDS)


def _run(server: _Server, main: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
        runner.run(_awaited(main))


async def _awaited(main: Callable[[], Awaitable[None]]) -> None:
    await main()


def run_api(app: Any, settings: ProcessSettings, *, health: Health | None = None) -> None:
    """Serve an ASGI app behind the edge guard until SIGTERM; requests in hand are finished first.

    What the app opens it closes in its own lifespan.
    """
    server = _Server(_config(app, settings), health.start_draining if health else lambda: None)
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
    server = _Server(_config(health_app(health), settings), health.start_draining)

    async def work() -> None:
        supervised = [
            asyncio.create_task(_supervise(name, task.run, health), name=name) for name, task in tasks.items()
        ]
        try:
            await server.serve()
        finally:
            for task in tasks.values():
                task.stop()
            await _finish(supervised)
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
