"""Looking into the platform's databases, and sabotage of them: only tests do that."""

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg

from tests.e2e.running_platform import RunningPlatform

LEDGER_TABLES = ("block", "ledger_transaction", "ledger_entry")


class OpenDatabase:
    """One service's database, as its superuser. Runs its own event loop, so that sync tests can use it."""

    def __init__(self, platform: RunningPlatform, service: str) -> None:
        self._url = platform.database_url(service).replace("+asyncpg", "")
        self._loop = asyncio.new_event_loop()
        self._connection = self._loop.run_until_complete(asyncpg.connect(self._url))

    def rows(self, sql: str, *arguments: Any) -> list[tuple[Any, ...]]:
        """The rows of a query."""
        return [tuple(row) for row in self._loop.run_until_complete(self._connection.fetch(sql, *arguments))]

    def execute(self, sql: str, *arguments: Any) -> None:
        """Run a statement."""
        self._loop.run_until_complete(self._connection.execute(sql, *arguments))

    def sha256_of(self, *tables: str) -> str:
        """SHA-256 of the ordered dump of some tables."""
        digest = hashlib.sha256()
        for table in tables:
            for (line,) in self.rows(f"SELECT t::text FROM {table} t ORDER BY 1"):
                digest.update(line.encode() + b"\n")
        return digest.hexdigest()

    def close(self) -> None:
        """Close the connection and the loop."""
        self._loop.run_until_complete(self._connection.close())
        self._loop.close()


@contextmanager
def database_of(platform: RunningPlatform, service: str) -> Iterator[OpenDatabase]:
    """An open database of `service`."""
    database = OpenDatabase(platform, service)
    try:
        yield database
    finally:
        database.close()
