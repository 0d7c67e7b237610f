"""SIGTERM: first "not ready", then no new connections, and whoever was let in is answered."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.runtime.edge_guard import guarded_config
from shared.runtime.health import Health
from shared.runtime.process import _nothing, _Server, health_app
from tests.faults.raw_client import Tally, ask_again_and_again, status_of
from tests.integration.runtime.test_process import _free_port, _until_status

REPOSITORY = Path(__file__).parents[3]
EXIT_SECONDS_MAX = 25

PROGRAM = """
import asyncio
from shared.runtime.health import Health
from shared.runtime.process import health_app, run_api
from shared.runtime.settings import ProcessSettings

health = Health()
inner = health_app(health)

async def app(scope, receive, send):
    if scope["type"] == "http" and scope["path"] == "/slow":
        await asyncio.sleep(0.02)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
    else:
        await inner(scope, receive, send)

run_api(app, ProcessSettings(), health=health)
"""


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    port = _free_port()
    environment = {**os.environ, "TRIBUTARY_ENV": "test", "BROKER": "embedded", "PORT": str(port)}
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, cwd=REPOSITORY, env=environment)
    try:
        await _until_status(port, "/readyz", 200)
        yield process, port
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _end(process: asyncio.subprocess.Process) -> int:
    process.send_signal(signal.SIGTERM)
    return await asyncio.wait_for(process.wait(), EXIT_SECONDS_MAX)


async def test_nobody_who_was_let_in_goes_without_an_answer() -> None:
    async with _serving() as (process, port):
        stop, tally = asyncio.Event(), Tally()
        clients = [
            asyncio.create_task(ask_again_and_again(port, "/slow", "", tally, stop, keep_alive=number % 3 > 0))
            for number in range(24)
        ]
        await asyncio.sleep(0.3)

        assert await _end(process) == 0

        stop.set()
        await asyncio.gather(*clients)
    assert tally.failed == []
    assert set(tally.answered) == {200}
    assert tally.closed_politely >= 16, "kept connections are told to leave"


async def test_whoever_waits_to_be_accepted_while_the_listener_closes_is_let_in() -> None:
    port = _free_port()
    health = Health()
    config = guarded_config(health_app(health), host="127.0.0.1", port=port)
    server = _Server(config, health.start_draining, _nothing)
    serving = asyncio.create_task(server.serve())
    await _until_status(port, "/healthz", 200)

    client = socket.create_connection(("127.0.0.1", port))  # and this thread's event loop has not accepted it yet
    await server._stop_listening()

    with client:
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        answer = await asyncio.to_thread(client.recv, 4096)
    assert answer.startswith(b"HTTP/1.1 200")
    assert await status_of(port, "/healthz") is None
    server.should_exit = True
    await asyncio.wait_for(serving, EXIT_SECONDS_MAX)


async def test_a_process_says_not_ready_while_it_still_listens() -> None:
    async with _serving() as (process, port):
        seen = []

        async def look() -> None:
            while (status := await status_of(port, "/readyz")) is not None:
                seen.append(status)
                await asyncio.sleep(0.01)

        looking = asyncio.create_task(look())
        await asyncio.sleep(0.1)
        await _end(process)
        await looking

    assert seen[0] == 200
    assert seen[-1] == 503


async def test_a_request_that_has_begun_to_arrive_is_answered_and_its_answer_ends_the_connection() -> None:
    async with _serving() as (process, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /slow HTTP/1.1\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        while await status_of(port, "/readyz") is not None:
            await asyncio.sleep(0.02)

        writer.write(b"Host: here\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), EXIT_SECONDS_MAX)

        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert await asyncio.wait_for(process.wait(), EXIT_SECONDS_MAX) == 0
        writer.close()
