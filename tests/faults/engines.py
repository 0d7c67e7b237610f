"""PostgreSQL and Kafka of a platform under test, in our own hands, so that they stay down until we say so.

`make run` would start them again within a moment. The platform is told of them as of any outside server.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

from deploy.local.child import ChildCommand, launch
from deploy.local.kafka import KafkaNode
from deploy.local.kafka_install import say_on_stderr
from deploy.local.postgres import PostgresServer

READY_SECONDS_MAX: Final = 120.0
GONE_SECONDS_MAX: Final = 30.0
POLL_SECONDS: Final = 0.02


class EngineServer(Protocol):
    """What PostgresServer and KafkaNode have in common."""

    def prepare(self) -> None:
        """Make its folders; idempotent."""
        ...

    def command(self) -> ChildCommand:
        """What to run."""
        ...

    def is_ready(self) -> bool:
        """Does it serve now?"""
        ...


class Engine:
    """One server. Call from the main thread: the kernel ties the child to the thread that starts it."""

    def __init__(self, server: EngineServer, output: Path, *, before_start: Callable[[], None] | None = None) -> None:
        self._server = server
        self._output = output
        self._before_start = before_start
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start, and return when it serves; the event loop goes on meanwhile. Raises TimeoutError."""
        await asyncio.to_thread(self._server.prepare)
        if self._before_start is not None:
            await asyncio.to_thread(self._before_start)
        with self._output.open("ab") as output:
            self._process = launch(self._server.command(), output=output)
        async with asyncio.timeout(READY_SECONDS_MAX):
            while not await asyncio.to_thread(self._server.is_ready):
                await asyncio.sleep(POLL_SECONDS)

    async def kill(self) -> None:
        """kill -9, and return when it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to stop in its own way, and return when it is gone. Harmless when it is down."""
        await self._end(self._server.command().stop_signal)

    def freeze(self) -> None:
        """SIGSTOP: it keeps its connections and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT."""
        self._signal(signal.SIGCONT)

    async def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        process.send_signal(number)
        try:
            await asyncio.to_thread(process.wait, GONE_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            await asyncio.to_thread(process.wait)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None, "the engine does not run"
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process.pid, number)


def postgres_engine(folder: Path) -> tuple[PostgresServer, Engine]:
    """A durable PostgreSQL whose data is in `folder`."""
    server = PostgresServer.at(folder)
    return server, Engine(server, folder / "postgres-output.log", before_start=server.clear_leftovers)


def kafka_engine(folder: Path) -> tuple[KafkaNode, Engine]:
    """One Apache Kafka node on `folder`. Raises KafkaUnavailable without Java 17+ or Maven."""
    node = KafkaNode.at(folder / "kafka", say=say_on_stderr)
    return node, Engine(node, folder / "kafka-output.log")
