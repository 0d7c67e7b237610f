"""The platform of `make run` on engines of our own: any process and any engine can be stopped, killed or frozen."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import asyncpg

from deploy.local.kafka import KafkaNode
from deploy.local.postgres import PostgresServer
from deploy.local.roles import ROLES, SERVICES
from tests.e2e.running_platform import RunningPlatform
from tests.faults.engines import Engine, kafka_engine, postgres_engine

BACK_SECONDS_MAX: Final = 60.0
POLL_SECONDS: Final = 0.02


class StagedPlatform(RunningPlatform):
    """One platform. `postgres` and `kafka` (None with the embedded log) are the engines to play with."""

    def __init__(self, home: Path, *, with_kafka: bool, extra: Mapping[str, str] | None = None) -> None:
        super().__init__(home, "kafka" if with_kafka else "embedded", dict(extra or {}))
        folder = home / "engines"
        folder.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.server: PostgresServer
        self.server, self.postgres = postgres_engine(folder)
        self.node: KafkaNode | None = None
        self.kafka: Engine | None = None
        if with_kafka:
            self.node, self.kafka = kafka_engine(folder)

    async def begin(self) -> None:
        """Start engines and processes, and return when all are ready."""
        await asyncio.gather(*(engine.start() for engine in (self.postgres, self.kafka) if engine is not None))
        urls = {
            f"DATABASE_URL_{service.upper()}": self.server.url(
                login=f"tributary_{service}", database=f"tributary_{service}"
            )
            for service in SERVICES
        }
        told = {**urls, "DATABASE_ADMIN_URL": self.server.admin_url()}
        if self.node is not None:
            told["KAFKA_BOOTSTRAP_SERVERS"] = self.node.bootstrap_servers
        self.extra = {**told, **self.extra}
        await asyncio.to_thread(self.start)

    async def finish(self) -> None:
        """Stop processes, then engines."""
        await asyncio.to_thread(self.stop)
        for engine in (self.kafka, self.postgres):
            if engine is not None:
                await engine.stop()

    def database_url(self, service: str) -> str:
        """The superuser's way into a service's database."""
        return self.server.admin_url(f"tributary_{service}")

    @asynccontextmanager
    async def database(self, service: str) -> AsyncIterator[Any]:
        """An open connection to a service's database, as its superuser: for looking, and for sabotage."""
        connection = await asyncpg.connect(self.database_url(service))
        try:
            yield connection
        finally:
            await connection.close()

    def pids(self) -> dict[str, int | None]:
        """The process of every role that runs now: equal before and after means that none was restarted."""
        return {role.name: self.pid(role.name) for role in ROLES}

    def port(self, name: str) -> int:
        """The port a role listens on, read from its own environment."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        pairs = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
        return next(int(pair.removeprefix(b"PORT=")) for pair in pairs if pair.startswith(b"PORT="))

    def send_signal(self, name: str, number: signal.Signals) -> int:
        """Send a process a signal; gives its pid."""
        pid = self.pid(name)
        assert pid is not None, f"{name} does not run"
        os.kill(pid, number)
        return pid

    @staticmethod
    def is_alive(pid: int) -> bool:
        """False once the process has ended, whether or not the supervisor has noticed."""
        try:
            return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
        except OSError:
            return False

    async def until_back(self, name: str, old_pid: int) -> None:
        """Return when the supervisor has started a stopped process again. Raises TimeoutError."""
        async with asyncio.timeout(BACK_SECONDS_MAX):
            while self.pid(name) in (None, old_pid):
                await asyncio.sleep(POLL_SECONDS)
