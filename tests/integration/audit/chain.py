"""Looking into a service's chain as its superuser, and waiting for what is written a moment later."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg

from shared.runtime.audit_reader import verify_chain
from shared.runtime.database import Database
from tests.conftest import TestPostgres

WAIT_SECONDS = 20.0


class Chain:
    """The chain of one service."""

    def __init__(self, postgres: TestPostgres, service: str) -> None:
        self.postgres = postgres
        self.service = service

    async def query(self, statement: str, *parameters: Any) -> list[Any]:
        """Rows of any statement."""
        connection = await asyncpg.connect(self.postgres.admin_url(f"tributary_{self.service}"))
        try:
            return list(await connection.fetch(statement, *parameters))
        finally:
            await connection.close()

    async def entries_of(self, request_id: str) -> list[Any]:
        """What was entered for one request."""
        return await self.query("SELECT * FROM audit_entry WHERE request_id = $1 ORDER BY number", request_id)

    async def entries_of_all(self, request_ids: Sequence[str]) -> dict[str, list[Any]]:
        """The same for several, once each has one at least, or after a while."""
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                rows = await self.query(
                    "SELECT * FROM audit_entry WHERE request_id = ANY($1) ORDER BY number", list(request_ids)
                )
                found: dict[str, list[Any]] = {request_id: [] for request_id in request_ids}
                for row in rows:
                    found[row["request_id"]].append(row)
                if all(found.values()):
                    return found
                await asyncio.sleep(0.05)

    async def verify(self) -> int:
        """Prove it; gives how many entries it has."""
        database = Database(self.postgres.url(self.service), role=f"{self.service}_staff", pool_size=1)
        try:
            async with database.transaction() as session:
                return (await verify_chain(session)).number
        finally:
            await database.close()
