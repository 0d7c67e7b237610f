"""An ASGI application behind the edge guard on a free port, for tests over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from shared.runtime.edge_guard import EdgeLimits, guarded_config


@asynccontextmanager
async def serve(application: ASGIApp, limits: EdgeLimits | None = None) -> AsyncIterator[int]:
    """The port of a guarded server in this process."""
    config = guarded_config(application, host="127.0.0.1", port=0, limits=limits)
    config.lifespan = "off"
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)
