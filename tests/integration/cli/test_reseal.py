"""Sealing keys on a real PostgreSQL: none is retired while a valid secret needs it, and resealing frees it."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from services.commissions.storage.payout_settings_store import find_sealed_details, insert_settings
from services.conversions.storage.credential_store import (
    CredentialRow,
    insert_credential,
    list_all_credentials,
    revoke_credential,
)
from services.conversions.usecases import reseal_credentials
from services.conversions.usecases.reseal_credentials import reseal_batch
from shared.kernel.ids import new_id
from shared.runtime.database import Database, Session
from shared.runtime.keyring import Keyring, create_keyring_file
from shared.runtime.sealing import seal, unseal
from tests.conftest import TestPostgres
from tests.factories.payouts import settings_version

LONG_AGO = 1_000_000_000
MERCHANT = 7
NOW = datetime(2030, 1, 1, tzinfo=UTC)
ENDED = "2020-01-01T00:00:00Z"
InSession = Callable[[Session], Coroutine[Any, Any, Any]]


@dataclass(slots=True)
class Vault:
    """The credentials of one database and the keyring that seals them. Key 1 seals at first."""

    url: str
    path: Path
    emptied_at: datetime

    @property
    def keyring(self) -> Keyring:
        """As it is now."""
        return Keyring.load(self.path)

    def transact(self, act: InSession, *, service: str = "conversions") -> Any:
        async def once() -> Any:
            url = os.environ[f"DATABASE_URL_{service.upper()}"]
            database = Database(url, role=f"{service}_staff", pool_size=1)
            try:
                async with database.transaction() as session:
                    return await act(session)
            finally:
                await database.close()

        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(once())

    def issue(self, secret: str) -> UUID:
        credential_id, now = new_id(), datetime.now(UTC)
        sealed = seal(self.keyring, secret.encode(), owner=credential_id)

        async def act(session: Session) -> None:
            row = CredentialRow(credential_id, MERCHANT, "hmac", "test", sealed, None, [], now)
            await insert_credential(session, row)

        self.transact(act)
        return credential_id

    def revoke(self, credential_id: UUID) -> None:
        async def act(session: Session) -> None:
            await revoke_credential(session, credential_id, now=datetime.now(UTC))

        self.transact(act)

    def spoil(self, credential_id: UUID) -> None:
        async def act(session: Session) -> None:
            connection = await session.connection()
            await connection.exec_driver_sql(
                "UPDATE postback_credential SET sealed_secret = set_byte(sealed_secret, 20, "
                "(get_byte(sealed_secret, 20) + 1) % 256) WHERE id = $1",
                (credential_id,),
            )

        self.transact(act)

    def opened(self) -> dict[UUID, tuple[int, str]]:
        """Key number and secret of every valid credential."""

        async def act(session: Session) -> list[CredentialRow]:
            return await list_all_credentials(session, datetime.now(UTC))

        now, keyring = datetime.now(UTC), self.keyring
        return {
            row.id: (row.sealed_secret[0], unseal(keyring, row.sealed_secret, owner=row.id, now=now).decode())
            for row in self.transact(act)
            if row.sealed_secret
        }

    def audited(self) -> list[tuple[str, ...]]:
        """Who did what to what, since the vault was emptied."""

        async def act(session: Session) -> list[tuple[str, ...]]:
            connection = await session.connection()
            result = await connection.exec_driver_sql(
                "SELECT role, action, object_type, object_id FROM audit_entry WHERE occurred_at >= $1 ORDER BY number",
                (self.emptied_at,),
            )
            return [tuple(row) for row in result]

        entries: list[tuple[str, ...]] = self.transact(act)
        return entries

    def promote_another(self) -> None:
        assert self.run("add", "sealing").exit_code == 0
        os.utime(self.path, (LONG_AGO, LONG_AGO))
        assert self.run("promote", "sealing", "2").exit_code == 0
        os.utime(self.path, (LONG_AGO, LONG_AGO))

    def run(self, *arguments: str) -> Result:
        return CliRunner().invoke(app, ["keyring", *arguments])

    def retire(self) -> Result:
        return self.run("retire", "sealing", "1", "--not-after", ENDED, "--yes")


@pytest.fixture
def vault(mortal_postgres: TestPostgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vault:
    """An empty vault: the server is this module's own, so nothing in it was sealed by others."""
    path = tmp_path / "sealing.json"
    create_keyring_file(path)
    os.utime(path, (LONG_AGO, LONG_AGO))
    monkeypatch.setenv("SEALING_KEYRING_FILE", str(path))
    url = mortal_postgres.migrate("conversions")
    monkeypatch.setenv("DATABASE_URL_CONVERSIONS", url)
    monkeypatch.setenv("DATABASE_URL_COMMISSIONS", mortal_postgres.migrate("commissions"))
    vault = Vault(url, path, datetime.now(UTC))

    async def empty(session: Session) -> None:
        connection = await session.connection()
        await connection.exec_driver_sql("TRUNCATE postback_credential")

    async def as_owner() -> None:
        database = Database(url, role="conversions_migrate", pool_size=1)
        async with database.transaction() as session:
            await empty(session)
        await database.close()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(as_owner())
    return vault


def test_a_key_is_retired_only_when_nothing_valid_needs_it_and_no_secret_is_lost(vault: Vault) -> None:
    secrets = {vault.issue(f"secret-{number}"): f"secret-{number}" for number in range(3)}
    ended = vault.issue("ended")
    vault.revoke(ended)
    vault.promote_another()

    refused = vault.retire()
    done = vault.run("reseal", "--json")
    again = vault.run("reseal", "--json")
    os.utime(vault.path, (LONG_AGO, LONG_AGO))
    retired = vault.retire()

    assert refused.exit_code == 1
    assert "3 postback secrets are still sealed with key 1" in refused.stderr
    assert "keyring reseal" in refused.stderr
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"key": 2, "resealed": 4, "unreadable": []})
    assert json.loads(again.stdout)["resealed"] == 0
    assert retired.exit_code == 0
    assert vault.keyring.find(1, datetime.now(UTC)) is None
    assert vault.opened() == {credential_id: (2, secret) for credential_id, secret in secrets.items()}
    assert vault.audited() == [("operator", "tributary keyring reseal", "sealing_key", "2")]


def test_bank_details_are_sealed_anew_too_and_need_their_key_until_then(vault: Vault) -> None:
    settings = settings_version(affiliate_id=4)
    details = seal(vault.keyring, b"account", owner=settings.settings_id)

    async def insert(session: Session) -> None:
        await insert_settings(session, settings, details)

    async def sealed(session: Session) -> bytes:
        return (await find_sealed_details(session, 4, settings.version)).sealed_details

    vault.transact(insert, service="commissions")
    vault.promote_another()

    refused = vault.retire()
    done = vault.run("reseal")
    os.utime(vault.path, (LONG_AGO, LONG_AGO))
    retired = vault.retire()

    assert "1 version of bank details is still sealed with key 1" in refused.stderr
    assert "Resealed 1 version of bank details with key 2" in done.stdout
    assert retired.exit_code == 0
    opened = unseal(vault.keyring, vault.transact(sealed, service="commissions"), owner=settings.settings_id, now=NOW)
    assert opened == b"account"


def test_one_that_does_not_open_is_named_and_keeps_its_key_until_it_is_revoked(vault: Vault) -> None:
    good, bad = vault.issue("good"), vault.issue("bad")
    vault.spoil(bad)
    vault.promote_another()

    done = vault.run("reseal")
    refused = vault.retire()
    vault.revoke(bad)
    retired = vault.retire()

    assert done.exit_code == 1
    assert "Resealed 1 postback secret with key 2" in done.stdout
    assert str(bad) in done.stderr
    assert str(good) not in done.output
    assert (refused.exit_code, retired.exit_code) == (1, 0)
    assert vault.opened() == {good: (2, "good")}


def test_it_goes_on_where_it_was_stopped(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reseal_credentials, "BATCH", 2)
    secrets = {vault.issue(f"secret-{number}") for number in range(5)}
    vault.promote_another()

    async def one_batch(session: Session) -> None:
        await reseal_batch(session, vault.keyring, after_id=None, now=datetime.now(UTC))

    vault.transact(one_batch)
    rest = vault.run("reseal", "--json")

    assert json.loads(rest.stdout)["resealed"] == 3
    assert {credential_id: key for credential_id, (key, _) in vault.opened().items()} == dict.fromkeys(secrets, 2)


def test_a_change_under_way_is_waited_for_and_kept(vault: Vault) -> None:
    credential_id = vault.issue("secret")
    vault.promote_another()

    with ThreadPoolExecutor(max_workers=1) as thread:

        async def rename_slowly(session: Session) -> bool:
            connection = await session.connection()
            await connection.exec_driver_sql(
                "UPDATE postback_credential SET name = 'renamed' WHERE id = $1", (credential_id,)
            )
            running = thread.submit(vault.run, "reseal")
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline:
                waiting = await connection.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted")
                if waiting.scalar_one():
                    return not running.done()
                await asyncio.sleep(0.05)
            return False

        assert vault.transact(rename_slowly)

    assert vault.opened() == {credential_id: (2, "secret")}
