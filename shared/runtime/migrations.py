"""Alembic without its command line: upgrade and downgrade one service's database in one transaction.

A service's `migrations/env.py` is one line: `run_environment()`. Revisions live in `migrations/versions/`.
"""

import asyncio
from typing import Final

from alembic import command, context
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, text

from shared.runtime.database import Database

LOCK_TIMEOUT: Final = "5s"
"""A migration that cannot get its lock in this time gives up instead of queueing every reader behind it."""

_MIGRATION_LOCK: Final = 7_406_231
"""Advisory lock: two starts at the same time migrate one after the other."""


class SchemaNewer(Exception):
    """The database is at a revision that this program does not know: a newer one has migrated it."""

    def __init__(self, service: str, revision: str) -> None:
        super().__init__(f"the database of {service} is at revision {revision}, which this program does not know")
        self.service = service
        self.revision = revision


def upgrade(url: str, service: str, revision: str = "head") -> None:
    """Bring the database of `service` to `revision`. Harmless when it is there already. For use outside a loop.

    Raises: SchemaNewer, and nothing is changed.
    """
    asyncio.run(migrate(url, service, revision=revision, up=True))


def downgrade(url: str, service: str, revision: str = "base") -> None:
    """Take the database of `service` back to `revision`. For use outside a running loop."""
    asyncio.run(migrate(url, service, revision=revision, up=False))


async def migrate(url: str, service: str, *, revision: str = "head", up: bool = True) -> None:
    """Run the migrations of `service` as its `_migrate` role, all of them in one transaction or none."""
    database = Database(url, role=f"{service}_migrate", pool_size=1, name=f"{service}-migrate", statement_timeout_ms=0)
    try:
        async with database.transaction() as session:
            connection = await session.connection()
            await connection.run_sync(_run, service, revision, up)
    finally:
        await database.close()


async def find_revision(database: Database) -> str | None:
    """The revision a database is at, None before the first. database: as the service's `_migrate` role."""
    async with database.reading() as connection:
        exists = await connection.exec_driver_sql("SELECT to_regclass('alembic_version') IS NOT NULL")
        if not exists.scalar_one():
            return None
        found: str | None = (
            await connection.exec_driver_sql("SELECT version_num FROM alembic_version")
        ).scalar_one_or_none()
    return found


def newest_revision(service: str) -> str | None:
    """The revision this program was written for."""
    return ScriptDirectory.from_config(_config(service)).get_current_head()


def knows_revision(service: str, revision: str) -> bool:
    """False for one that only a newer program has."""
    try:
        return ScriptDirectory.from_config(_config(service)).get_revision(revision) is not None
    except CommandError:
        return False


def _run(connection: Connection, service: str, revision: str, up: bool) -> None:
    connection.execute(text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text("SET LOCAL statement_timeout = 0"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    _refuse_newer(connection, service)
    config = _config(service)
    config.attributes["connection"] = connection
    (command.upgrade if up else command.downgrade)(config, revision)


def _refuse_newer(connection: Connection, service: str) -> None:
    if not connection.execute(text("SELECT to_regclass('alembic_version') IS NOT NULL")).scalar_one():
        return
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
    if found is not None and not knows_revision(service, found):
        raise SchemaNewer(service, found)


def _config(service: str) -> Config:
    config = Config()
    config.set_main_option("script_location", f"services.{service}:migrations")
    config.set_main_option("path_separator", "os")
    return config


def run_environment() -> None:
    """The whole of a service's Alembic environment: run the revisions on the connection that `migrate` opened."""
    connection = context.config.attributes["connection"]
    context.configure(connection=connection, target_metadata=None)
    with context.begin_transaction():
        context.run_migrations()
