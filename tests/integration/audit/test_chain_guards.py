"""The database itself numbers, chains and keeps audit entries, in every service and for every role."""

import asyncio
import itertools
from typing import Any

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from shared.runtime.audit import GENESIS_HASH, AuditEntry, append_entries, entry_hash
from shared.runtime.database import Database, Tenant, sqlstate_of
from tests.conftest import TestPostgres
from tests.factories.audit import audit_entry

SERVICES = ("gateway", "clicks", "conversions", "commissions")
WRITERS = ("api", "staff", "intake", "worker")
READERS = ("staff", "migrate")
INSUFFICIENT_PRIVILEGE = "42501"
CHANGES = (
    "UPDATE audit_entry SET action = 'other'",
    "DELETE FROM audit_entry",
    "TRUNCATE audit_entry",
    "UPDATE audit_head SET number = number - 1",
    "DELETE FROM audit_head",
    "TRUNCATE audit_head",
    "INSERT INTO audit_head (only_row, number, hash) VALUES (false, 0, '')",
)

FIELDS = ", ".join(AuditEntry.__slots__)


@pytest.fixture(params=SERVICES)
async def service(request: pytest.FixtureRequest, postgres: TestPostgres) -> str:
    name: str = request.param
    postgres.migrate(name)
    await _append(postgres, name, "staff", [audit_entry()])
    return name


async def _append(
    postgres: TestPostgres, service: str, role: str, entries: list[AuditEntry], tenant: Tenant | None = None
) -> None:
    database = Database(postgres.url(service), role=f"{service}_{role}", pool_size=1)
    try:
        async with database.transaction(tenant=tenant) as session:
            await append_entries(session, entries)
    finally:
        await database.close()


async def _rows(postgres: TestPostgres, service: str, statement: str) -> list[Any]:
    connection = await asyncpg.connect(postgres.admin_url(f"tributary_{service}"))
    try:
        return list(await connection.fetch(statement))
    finally:
        await connection.close()


async def test_the_database_chains_entries_as_the_verifier_does(postgres: TestPostgres, service: str) -> None:
    written = [
        audit_entry(object_id=None, before_hash=None, after_hash=None),
        audit_entry(role="merchant", merchant_id=7, outcome="denied", code="transition_refused", occurrences=3),
        audit_entry(role="affiliate", affiliate_id=9, key_id=None),
    ]
    await _append(postgres, service, "worker", written)

    rows = await _rows(postgres, service, f"SELECT number, previous_hash, hash, {FIELDS} FROM audit_entry ORDER BY 1")
    previous = GENESIS_HASH
    for number, row in enumerate(rows, start=1):
        entry = AuditEntry(**{name: row[name] for name in AuditEntry.__slots__})
        assert (row["number"], row["previous_hash"]) == (number, previous)
        assert row["hash"] == entry_hash(entry, number=number, previous_hash=previous)
        previous = row["hash"]
    assert [AuditEntry(**{name: row[name] for name in AuditEntry.__slots__}) for row in rows[-3:]] == written


@pytest.mark.parametrize("role", [*WRITERS, "migrate", None])
@pytest.mark.parametrize("statement", CHANGES)
async def test_nobody_changes_the_chain(postgres: TestPostgres, service: str, role: str | None, statement: str) -> None:
    before = await _rows(postgres, service, "SELECT number, hash FROM audit_entry ORDER BY 1")
    connection = await asyncpg.connect(postgres.admin_url(f"tributary_{service}"))
    try:
        if role is not None:
            await connection.execute(f"SET ROLE {service}_{role}")

        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()
    assert await _rows(postgres, service, "SELECT number, hash FROM audit_entry ORDER BY 1") == before


@pytest.mark.parametrize("role", WRITERS)
async def test_no_role_gives_itself_a_number_or_a_hash(postgres: TestPostgres, service: str, role: str) -> None:
    connection = await asyncpg.connect(postgres.admin_url(f"tributary_{service}"))
    try:
        await connection.execute(f"SET ROLE {service}_{role}")
        for column in ("number", "previous_hash", "hash"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"INSERT INTO audit_entry ({column}) VALUES (NULL)")
    finally:
        await connection.close()


async def test_a_tenant_writes_in_its_own_name_and_reads_nothing(postgres: TestPostgres, service: str) -> None:
    own = audit_entry(role="merchant", merchant_id=7)
    await _append(postgres, service, "api", [own], Tenant(merchant_id=7))

    for forged in (audit_entry(), audit_entry(role="merchant", merchant_id=8), audit_entry(role="nobody")):
        with pytest.raises(DBAPIError) as refusal:
            await _append(postgres, service, "api", [forged], Tenant(merchant_id=7))
        assert sqlstate_of(refusal.value) == INSUFFICIENT_PRIVILEGE
    for role in ("api", "intake", "worker"):
        connection = await asyncpg.connect(postgres.admin_url(f"tributary_{service}"))
        await connection.execute(f"SET ROLE {service}_{role}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT * FROM audit_entry")
        await connection.close()


async def test_concurrent_writers_give_a_gapless_chain(postgres: TestPostgres, service: str) -> None:
    first = (await _rows(postgres, service, "SELECT max(number) AS n FROM audit_entry"))[0]["n"]
    database = Database(postgres.url(service), role=f"{service}_staff", pool_size=8)

    async def write(worker: int) -> None:
        for turn in range(10):
            try:
                async with database.transaction() as session:
                    await append_entries(session, [audit_entry(object_id=f"{worker}:{turn}")] * (1 + turn % 3))
                    if turn % 4 == 3:
                        raise RuntimeError("rolled back")
            except RuntimeError:
                continue

    await asyncio.gather(*(write(worker) for worker in range(8)))
    await database.close()

    rows = await _rows(
        postgres, service, f"SELECT number, previous_hash, hash FROM audit_entry WHERE number >= {first} ORDER BY 1"
    )
    numbers = [row["number"] for row in rows]
    assert numbers == list(range(first, first + 1 + 8 * sum(1 + t % 3 for t in range(10) if t % 4 != 3)))
    assert all(later["previous_hash"] == row["hash"] for row, later in itertools.pairwise(rows))
