"""conversions-api in the test's own process, on the run's PostgreSQL."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conftest import TestPostgres
from tests.factories.conversions import ConversionsService, running_conversions


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def conversions(
    postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ConversionsService]:
    """The running service."""
    folder: Path = tmp_path_factory.mktemp("conversions")
    async with running_conversions(postgres.migrate("conversions"), folder) as service:
        yield service
