"""The gateway's history can be walked down and up again."""

import asyncpg

from shared.runtime.migrations import migrate
from tests.conftest import TestPostgres

SCRATCH = "gateway_scratch"


async def test_migrations_go_down_and_up_again(postgres: TestPostgres) -> None:
    postgres.migrate("gateway")
    admin = await asyncpg.connect(postgres.admin_url())
    try:
        await admin.execute(f"CREATE DATABASE {SCRATCH} OWNER gateway_migrate")
        url = postgres.running.server.url(login="tributary_gateway", database=SCRATCH)

        await migrate(url, "gateway")
        await migrate(url, "gateway", revision="base", up=False)
        left = await _tables(postgres)
        await migrate(url, "gateway")

        assert left == ["alembic_version"]
        assert {"offer_version", "outbox"} <= set(await _tables(postgres))
    finally:
        await admin.execute(f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)")
        await admin.close()


async def _tables(postgres: TestPostgres) -> list[str]:
    connection = await asyncpg.connect(postgres.admin_url(SCRATCH))
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        return [row["tablename"] for row in rows]
    finally:
        await connection.close()
