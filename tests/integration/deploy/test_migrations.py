"""Every service's schema can be walked up, down to nothing, and up again to the same thing."""

import asyncio

import asyncpg
import pytest

from shared.runtime.migrations import downgrade, upgrade
from tests.conftest import TestPostgres

_SHAPE = """
    SELECT 'column', table_name, column_name, data_type || is_nullable FROM information_schema.columns
    WHERE table_schema = 'public'
    UNION ALL SELECT 'index', tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'
    UNION ALL SELECT 'policy', tablename, policyname, roles::text || coalesce(qual, '') FROM pg_policies
    UNION ALL SELECT 'grant', table_name, grantee, privilege_type FROM information_schema.role_table_grants
    WHERE table_schema = 'public'
    UNION ALL SELECT 'trigger', event_object_table, trigger_name, event_manipulation FROM information_schema.triggers
    UNION ALL SELECT 'function', proname, '', '' FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    ORDER BY 1, 2, 3, 4
"""


async def _shape(postgres: TestPostgres, service: str) -> list[tuple[object, ...]]:
    connection = await asyncpg.connect(postgres.admin_url(f"tributary_{service}"))
    rows = await connection.fetch(_SHAPE)
    await connection.close()
    return [tuple(row) for row in rows if row[1] != "alembic_version"]


@pytest.mark.parametrize("service", ["gateway", "clicks", "conversions", "commissions"])
async def test_a_schema_goes_up_down_and_up_again(mortal_postgres: TestPostgres, service: str) -> None:
    url = mortal_postgres.url(service)
    await asyncio.to_thread(upgrade, url, service)
    first = await _shape(mortal_postgres, service)

    await asyncio.to_thread(downgrade, url, service)
    between = await _shape(mortal_postgres, service)
    await asyncio.to_thread(upgrade, url, service)

    assert first
    assert [row for row in between if row[1] != "alembic_version_pkc"] == []
    assert await _shape(mortal_postgres, service) == first
