"""Whoever tampers with a chain, as superuser and with every trigger off, is found, and the first bad entry named."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from deploy.local.audit_chains import ChainReport
from shared.runtime.audit import AuditEntry, append_entries
from shared.runtime.audit_reader import ChainBroken, Head, verify_chain
from shared.runtime.database import Database
from shared.runtime.migrations import migrate
from tests.conftest import TestPostgres
from tests.factories.audit import audit_entry

SCRATCH = "audit_scratch"
ENTRIES = 12


class Scratch:
    """A database of the tests' own with a chain of 12 entries, and a superuser whom no trigger or check stops."""

    def __init__(self, url: str, superuser: "asyncpg.Connection") -> None:
        self.url = url
        self.superuser = superuser

    async def append(self, *entries: AuditEntry) -> None:
        database = Database(self.url, role="clicks_worker", pool_size=1)
        async with database.transaction() as session:
            await append_entries(session, entries)
        await database.close()

    async def prove(self, anchor: Head | None = None) -> Head:
        database = Database(self.url, role="clicks_staff", pool_size=1)
        try:
            async with database.transaction() as session:
                return await verify_chain(session, anchor=anchor)
        finally:
            await database.close()


@pytest.fixture(scope="module")
async def module_scratch(postgres: TestPostgres) -> AsyncIterator[Scratch]:
    admin = await asyncpg.connect(postgres.admin_url())
    await admin.execute(f"CREATE DATABASE {SCRATCH} OWNER clicks_migrate")
    url = postgres.running.server.url(login="tributary_clicks", database=SCRATCH)
    superuser = await asyncpg.connect(postgres.admin_url(SCRATCH))
    try:
        await superuser.execute("GRANT USAGE ON SCHEMA public TO clicks_staff, clicks_worker, clicks_api")
        await superuser.execute("ALTER SCHEMA public OWNER TO clicks_migrate")
        await migrate(url, "clicks")
        found = Scratch(url, superuser)
        for number in range(1, ENTRIES + 1):
            await found.append(audit_entry(object_id=str(number)))
        await superuser.execute("SET session_replication_role = replica")  # no trigger fires any more
        for row in await superuser.fetch(
            "SELECT conname FROM pg_constraint WHERE conrelid = 'audit_entry'::regclass AND contype = 'c'"
        ):
            await superuser.execute(f'ALTER TABLE audit_entry DROP CONSTRAINT "{row["conname"]}"')
        await superuser.execute(
            "CREATE TABLE kept AS SELECT * FROM audit_entry; CREATE TABLE kept_head AS SELECT * FROM audit_head"
        )
        yield found
    finally:
        await superuser.close()
        await admin.execute(f"DROP DATABASE IF EXISTS {SCRATCH} WITH (FORCE)")
        await admin.close()


@pytest.fixture
async def scratch(module_scratch: Scratch) -> Scratch:
    """The chain as it was written, whatever the test before did to it."""
    await module_scratch.superuser.execute(
        "DELETE FROM audit_entry; INSERT INTO audit_entry SELECT * FROM kept;"
        " DELETE FROM audit_head; INSERT INTO audit_head SELECT * FROM kept_head"
    )
    return module_scratch


async def test_an_untouched_chain_is_proved_to_its_end(scratch: Scratch) -> None:
    head = await scratch.prove()
    await scratch.append(audit_entry())

    assert head.number == ENTRIES
    assert (await scratch.prove(anchor=head)).number == ENTRIES + 1


# Every column but the number, each set to something else that the column takes.
EDITS = {
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "role": "'finance'",
    "key_id": "NULL",
    "merchant_id": "7",
    "affiliate_id": "7",
    "action": "'GET /v1/me'",
    "object_type": "'offers'",
    "object_id": "NULL",
    "before_hash": "NULL",
    "after_hash": "before_hash",
    "request_id": "'r'",
    "outcome": "'denied'",
    "code": "'c'",
    "occurrences": "2",
    "previous_hash": "sha256('x')",
    "hash": "sha256('x')",
}


def test_every_column_is_edited_below() -> None:
    assert set(EDITS) == {*AuditEntry.__slots__, "previous_hash", "hash"}


@pytest.mark.parametrize("column", EDITS)
async def test_an_edited_entry_is_named(scratch: Scratch, column: str) -> None:
    await scratch.superuser.execute(f"UPDATE audit_entry SET {column} = {EDITS[column]} WHERE number = 5")

    with pytest.raises(ChainBroken) as broken:
        await scratch.prove()

    assert broken.value.number == 5


TAMPERING = {
    "a deleted entry": ("DELETE FROM audit_entry WHERE number = 4", 4),
    "the first entry deleted": ("DELETE FROM audit_entry WHERE number = 1", 1),
    "deleted, and the rest renumbered": (
        "DELETE FROM audit_entry WHERE number = 4;"
        "UPDATE audit_entry SET number = number - 1000 WHERE number > 4;"
        "UPDATE audit_entry SET number = number + 999 WHERE number < 0",
        4,
    ),
    "two swapped": (
        "UPDATE audit_entry SET number = 0 - number WHERE number IN (6, 7);"
        "UPDATE audit_entry SET number = 13 + number WHERE number < 0",
        6,
    ),
    "one put in between": (
        "UPDATE audit_entry SET number = number + 1000 WHERE number > 8;"
        "UPDATE audit_entry SET number = number - 999 WHERE number > 1000;"
        "INSERT INTO audit_entry SELECT 9, occurred_at, role, key_id, merchant_id, affiliate_id, action, object_type,"
        " object_id, before_hash, after_hash, request_id, outcome, code, occurrences, hash, hash"
        " FROM audit_entry WHERE number = 8",
        9,
    ),
    "the last three cut off": ("DELETE FROM audit_entry WHERE number > 9", 10),
    "all cut off": ("DELETE FROM audit_entry", 1),
    "the head taken back": ("UPDATE audit_head SET number = 9", ENTRIES + 1),
    "the head gone": ("DELETE FROM audit_head", ENTRIES),
}


@pytest.mark.parametrize("what", TAMPERING)
async def test_other_tampering_is_named(scratch: Scratch, what: str) -> None:
    statements, first_bad = TAMPERING[what]
    await scratch.superuser.execute(statements)

    with pytest.raises(ChainBroken) as broken:
        await scratch.prove()

    assert broken.value.number == first_bad


async def test_a_tail_cut_with_its_head_is_found_by_an_end_kept_elsewhere(scratch: Scratch) -> None:
    """The stated limit: without an anchor nobody can tell this chain from one that was never longer."""
    anchor = await scratch.prove()
    await scratch.superuser.execute("DELETE FROM audit_entry WHERE number > 9")
    await scratch.superuser.execute(
        "UPDATE audit_head SET number = 9, hash = (SELECT hash FROM audit_entry WHERE number = 9)"
    )

    assert (await scratch.prove()).number == 9
    with pytest.raises(ChainBroken) as broken:
        await scratch.prove(anchor=anchor)
    assert broken.value.number == 10


async def test_a_chain_written_anew_is_found_by_an_end_kept_elsewhere(scratch: Scratch) -> None:
    anchor = await scratch.prove()
    await scratch.superuser.execute("DELETE FROM audit_entry")
    await scratch.superuser.execute("UPDATE audit_head SET number = 0, hash = decode(repeat('00', 32), 'hex')")
    await scratch.append(*(audit_entry(object_id=f"other-{number}") for number in range(ENTRIES + 3)))

    assert (await scratch.prove()).number == ENTRIES + 3
    with pytest.raises(ChainBroken) as broken:
        await scratch.prove(anchor=anchor)
    assert broken.value.number == ENTRIES


async def test_a_proof_runs_beside_writers(scratch: Scratch) -> None:
    async def write() -> None:
        for _ in range(20):
            await scratch.append(audit_entry())

    writing = asyncio.create_task(write())
    heads = [await scratch.prove() for _ in range(5)]
    await writing

    assert [head.number for head in heads] == sorted(head.number for head in heads)
    assert (await scratch.prove(anchor=heads[-1])).number == ENTRIES + 20


def test_a_report_is_one_line() -> None:
    assert ChainReport("clicks", Head(3, bytes(32))).line == f"clicks: audit chain proved: 3 entries, end {'00' * 32}"
    assert ChainReport("clicks", None, "audit entry 4: is missing").line == (
        "clicks: audit chain broken: audit entry 4: is missing"
    )
