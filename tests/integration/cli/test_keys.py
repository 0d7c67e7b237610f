"""API keys from the command line, on a real PostgreSQL, as the roles the command takes."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from services.gateway.domain.api_keys import key_hash, key_id_of
from services.gateway.storage.key_store import find_key
from services.gateway.usecases.create_affiliate import create_affiliate
from shared.runtime.clock import SystemClock
from shared.runtime.database import Database, Session
from tests.conftest import TestPostgres


def _run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, ["keys", *arguments], input=answer)


@pytest.fixture
def url(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """The gateway's database, which DATABASE_URL_GATEWAY names. No admin key is made in it: it is others' too, and
    a gateway takes its first admin key from its file only while there is none."""
    url = postgres.migrate("gateway")
    monkeypatch.setenv("DATABASE_URL_GATEWAY", url)
    return url


def _transact(url: str, act: Callable[[Session], Coroutine[Any, Any, Any]]) -> Any:
    async def once() -> Any:
        database = Database(url, role="gateway_staff", pool_size=1)
        try:
            async with database.transaction() as session:
                return await act(session)
        finally:
            await database.close()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(once())


def _stored(url: str, key_id: str) -> Any:
    async def find(session: Session) -> Any:
        return await find_key(session, key_id)

    return _transact(url, find)


def _affiliate(url: str) -> int:
    async def create(session: Session) -> int:
        return (await create_affiliate(session, name="A", now=SystemClock().now())).affiliate_id

    number: int = _transact(url, create)
    return number


def test_a_new_key_is_the_only_line_on_standard_output_and_is_stored_as_a_hash(url: str) -> None:
    result = _run("create", "finance", "--label", "month end")

    assert result.exit_code == 0
    spelling = result.stdout.strip()
    stored = _stored(url, key_id_of(spelling) or "")
    assert (stored.role, stored.label, stored.secret_sha256) == ("finance", "month end", key_hash(spelling))
    assert spelling not in result.stderr


def test_no_list_shows_a_secret(url: str) -> None:
    made = json.loads(_run("create", "finance", "--json").stdout)
    secret = made["key"].rpartition("_")[2]

    listed = [_run("list", "--limit", "1000"), _run("list", "--limit", "1000", "--json")]

    assert all(made["id"] in result.stdout and secret not in result.output for result in listed)


def test_a_tenants_key_names_a_tenant_that_exists(url: str) -> None:
    affiliate_id = _affiliate(url)

    good = _run("create", "affiliate", "--affiliate-id", str(affiliate_id), "--json")
    refused = [
        _run("create", "affiliate"),
        _run("create", "affiliate", "--affiliate-id", "2000000000"),
        _run("create", "finance", "--affiliate-id", str(affiliate_id)),
    ]

    assert json.loads(good.stdout)["affiliate_id"] == affiliate_id
    assert [result.exit_code for result in refused] == [1, 1, 1]
    assert all("--affiliate-id" in result.stderr and result.stdout == "" for result in refused)
    listed = json.loads(_run("list", "--affiliate-id", str(affiliate_id), "--json").stdout)
    assert [key["id"] for key in listed] == [json.loads(good.stdout)["id"]]


def test_a_rotated_key_opens_on_until_its_end_and_is_rotated_once(url: str) -> None:
    old = json.loads(_run("create", "finance", "--label", "books", "--json").stdout)

    new = json.loads(_run("rotate", old["id"], "--json").stdout)
    again = _run("rotate", old["id"])

    assert (new["replaces"], new["label"], new["role"]) == (old["id"], "books", "finance")
    assert new["old_key_expires_at"] > new["created_at"]
    assert _stored(url, new["id"]).secret_sha256 == key_hash(new["key"])
    assert again.exit_code == 1
    assert "rotated or revoked already" in again.stderr


def test_revoking_asks_first_and_is_final(url: str) -> None:
    made = json.loads(_run("create", "finance", "--label", "to go", "--json").stdout)

    refused = _run("revoke", made["id"], answer="n\n")
    standing = _stored(url, made["id"])
    agreed = _run("revoke", made["id"], answer="y\n")
    again = _run("revoke", made["id"])

    assert (refused.exit_code, standing.revoked_at) == (1, None)
    assert "'to go'" in refused.output
    assert (agreed.exit_code, again.exit_code) == (0, 0)
    assert _stored(url, made["id"]).revoked_at is not None


@pytest.mark.parametrize("command", [("rotate",), ("revoke", "--yes")])
def test_an_unknown_key_is_exit_1(url: str, command: tuple[str, ...]) -> None:
    result = _run(*command, "zzzzzzzz")

    assert result.exit_code == 1
    assert "no key zzzzzzzz" in result.stderr
