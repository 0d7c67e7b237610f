"""The commissions database of this run, as its worker and as its owner see it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from shared.runtime.database import Database
from tests.conftest import TestPostgres


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worker_database(postgres: TestPostgres) -> AsyncIterator[Database]:
    """As commissions_worker."""
    database = Database(postgres.migrate("commissions"), role="commissions_worker")
    yield database
    await database.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def owner_database(postgres: TestPostgres) -> AsyncIterator[Database]:
    """As commissions_migrate, who owns the tables: even it may change nothing of the ledger."""
    database = Database(postgres.migrate("commissions"), role="commissions_migrate")
    yield database
    await database.close()
