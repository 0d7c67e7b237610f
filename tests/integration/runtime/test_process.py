"""A worker process as the supervisor sees it: health over HTTP, restarts of tasks, an orderly stop."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path

import httpx

REPOSITORY = Path(__file__).parents[3]

PROGRAM = """
import asyncio
from shared.runtime.event_log import StatedStop
from shared.runtime.health import Health
from shared.runtime.logging import configure_logging
from shared.runtime.process import run_worker
from shared.runtime.settings import ProcessSettings

class Task:
    def __init__(self, kind):
        self.kind, self.runs, self.stopping = kind, 0, asyncio.Event()
    async def run(self):
        self.runs += 1
        if self.kind == "stops":
            raise StatedStop("do this and that")
        if self.kind == "fails" and self.runs == 1:
            raise RuntimeError("once")
        await self.stopping.wait()
        print('{"event": "finished ' + self.kind + '"}', flush=True)
    def stop(self):
        self.stopping.set()

async def close():
    print('{"event": "closed"}', flush=True)

configure_logging("test", "worker")
tasks = {kind: Task(kind) for kind in KINDS}
run_worker(tasks, Health(), ProcessSettings(), closing=[close])
"""


async def test_worker_serves_health_restarts_tasks_and_stops_in_order() -> None:
    port = _free_port()
    process = await _start("['works', 'fails']", port)
    try:
        await _until_status(port, "/readyz", 200)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            assert (await client.get("/healthz")).status_code == 200
            assert "process_cpu_seconds_total" in (await client.get("/metrics")).text
            assert (await client.get("/other")).status_code == 404
    finally:
        process.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(process.communicate(), 25)

    events = [json.loads(line)["event"] for line in output.splitlines()]
    assert process.returncode == 0
    assert "task_failed" in events
    assert events[-1] == "closed"
    assert {"finished works", "finished fails"} <= set(events)


async def test_stated_stop_makes_the_process_not_ready_and_says_why() -> None:
    port = _free_port()
    process = await _start("['works', 'stops']", port)
    try:
        answer = await _until_status(port, "/readyz", 503)
    finally:
        process.send_signal(signal.SIGTERM)
        await asyncio.wait_for(process.communicate(), 25)

    assert answer["problems"] == {"task stops": "do this and that"}
    assert process.returncode == 0


async def _start(kinds: str, port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM.replace("KINDS", kinds),
        cwd=REPOSITORY,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "TRIBUTARY_ENV": "test", "BROKER": "embedded", "PORT": str(port)},
    )


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


async def _until_status(port: int, path: str, status: int) -> dict[str, dict[str, str]]:
    async with asyncio.timeout(20), httpx.AsyncClient() as client:
        while True:
            try:
                answer = await client.get(f"http://127.0.0.1:{port}{path}")
                if answer.status_code == status:
                    found: dict[str, dict[str, str]] = answer.json()
                    return found
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
