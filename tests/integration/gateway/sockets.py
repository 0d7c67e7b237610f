"""Real sockets for the door: an application behind the edge guard, and a service that shows what it got."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from shared.runtime.edge_guard import EdgeGuard


@dataclass(slots=True)
class EchoService:
    """Answers every request with what it saw, and keeps it. status, delay_seconds: of the answers to come."""

    seen: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200
    delay_seconds: float = 0.0
    extra_headers: list[tuple[bytes, bytes]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        raw_target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        what = {
            "method": scope["method"],
            "target": raw_target.decode("latin-1"),
            "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
            "body": body.decode("latin-1"),
        }
        self.seen.append(what)
        await asyncio.sleep(self.delay_seconds)
        answer = json.dumps(what).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": self.status, "headers": [*headers, *self.extra_headers]})
        await send({"type": "http.response.body", "body": answer})

    def header(self, name: str) -> list[str]:
        """The values of one header of the last request seen."""
        return [value for given, value in self.seen[-1]["headers"] if given == name]


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def serving(app: ASGIApp, *, port: int = 0, guarded: bool = False) -> AsyncIterator[int]:
    """`app` on a loopback port, which it gives."""
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=port or free_port(),
        http=EdgeGuard if guarded else "httptools",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        lifespan="on" if guarded else "off",
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        if task.done():
            task.result()
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.01)
    try:
        yield config.port
    finally:
        server.should_exit = True
        await task


async def exchange(port: int, request: bytes) -> bytes:
    """Send raw bytes and read until the other side closes or is silent for two seconds."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    await writer.drain()
    received = b""
    try:
        async with asyncio.timeout(2):
            while piece := await reader.read(65_536):
                received += piece
    except TimeoutError:
        pass
    writer.close()
    return received
