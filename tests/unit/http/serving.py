"""An ASGI application behind the edge guard on a free port, for tests over real sockets."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.types import ASGIApp

from shared.runtime.edge_guard import EdgeLimits, guarded_protocol


@asynccontextmanager
async def serve(application: ASGIApp, limits: EdgeLimits | None = None) -> AsyncIterator[int]:
    """The port of a guarded server in this process."""
    protocol = guarded_protocol(limits or EdgeLimits())
    config = uvicorn.Config(application, port=0, http=protocol, ws="none", lifespan="off", log_level="critical")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, 10)
