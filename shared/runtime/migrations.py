"""Alembic without its command line: upgrade and downgrade one service's database in one transaction.

A service's `migrations/env.py` is one line: `run_environment()`. Revisions live in `migrations/versions/`.
"""

import asyncio
from typing import Final

from alembic import command, context
from alembic.config import Config
from sqlalchemy import Connection, text

from shared.runtime.database import Database

LOCK_TIMEOUT: Final = "5s"
"""A migration that cannot get its lock in this time gives up instead of queueing every reader behind it."""

_MIGRATION_LOCK: Final = 7_406_231
"""Advisory lock: two starts at the same time migrate one after the other."""


def upgrade(url: str, service: str, revision: str = "head") -> None:
    """Bring the database of `service` to `revision`. Harmless when it is there already. For use outside a loop."""
    asyncio.run(migrate(url, service, revision=revision, up=True))


def downgrade(url: str, service: str, revision: str = "base") -> None:
    """Take the database of `service` back to `revision`. For use outside a running loop."""
    asyncio.run(migrate(url, service, revision=revision, up=False))


async def migrate(url: str, service: str, *, revision: str = "head", up: bool = True) -> None:
    """Run the migrations of `service` as its `_migrate` role, all of them in one transaction or none."""
    database = Database(url, role=f"{service}_migrate", pool_size=1, name=f"{service}-migrate")
    try:
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.run_sync(_run, service, revision, up)
    finally:
        await database.close()


def _run(connection: Connection, service: str, revision: str, up: bool) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    config = Config()
    config.set_main_option("script_location", f"services.{service}:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    (command.upgrade if up else command.downgrade)(config, revision)


def run_environment() -> None:
    """The whole of a service's Alembic environment: run the revisions on the connection that `migrate` opened."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
