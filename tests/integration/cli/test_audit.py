"""The audit chains from the command line, and the commands' own entries in them."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from deploy.local.roles import SERVICES
from shared.runtime.database import Database, Session
from shared.runtime.dead_letter import list_dead_letters, set_aside
from shared.runtime.event_log.interface import Received
from tests.conftest import TestPostgres


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


@pytest.fixture(autouse=True)
def urls(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every service's database, which DATABASE_URL_<SERVICE> names."""
    found = {service: postgres.migrate(service) for service in SERVICES}
    for service, url in found.items():
        monkeypatch.setenv(f"DATABASE_URL_{service.upper()}", url)
    return found


def _entries(service: str, *options: str) -> list[dict[str, Any]]:
    result = _run("audit", "list", service, "--json", *options)
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_keys_made_here_are_entered_under_the_operator() -> None:
    made = json.loads(_run("keys", "create", "finance", "--json").stdout)
    rotated = json.loads(_run("keys", "rotate", made["id"], "--json").stdout)
    _run("keys", "revoke", rotated["id"], "--yes")

    of_first = _entries("gateway", "--object-id", made["id"])
    of_second = _entries("gateway", "--object-id", rotated["id"])

    assert [entry["action"] for entry in of_first] == ["tributary keys rotate", "tributary keys create"]
    assert [entry["action"] for entry in of_second] == ["tributary keys revoke"]
    for entry in of_first + of_second:
        assert (entry["role"], entry["outcome"], entry["key_id"]) == ("operator", "done", None)
        assert made["key"] not in json.dumps(entry)


def test_replays_asked_for_here_are_entered(urls: dict[str, str]) -> None:
    consumer = f"conversions.test_{uuid4().hex[:8]}"
    letter_id = asyncio.run(_set_aside(urls["conversions"], consumer))

    assert _run("dead-letters", "replay", "conversions", str(letter_id)).exit_code == 0
    assert _run("dead-letters", "replay", "conversions", "2000000000").exit_code == 1
    assert _run("replay", consumer, "--yes").exit_code == 0

    (asked,) = _entries("conversions", "--object-type", "dead_letter", "--object-id", str(letter_id))
    (replayed,) = _entries("conversions", "--object-id", consumer)
    assert (asked["action"], asked["role"]) == ("tributary dead-letters replay", "operator")
    assert replayed["action"] == "tributary replay"
    assert _entries("conversions", "--object-id", "2000000000") == []


def test_every_chain_is_proved_and_its_end_is_a_later_anchor() -> None:
    proved = _run("audit", "verify", "--json")
    ends = [f"{each['service']}:{each['entries']}:{each['hash']}" for each in json.loads(proved.stdout)]
    _run("keys", "create", "finance")

    again = _run("audit", "verify", *(part for end in ends for part in ("--since", end)))

    assert (proved.exit_code, again.exit_code) == (0, 0)
    assert [line.partition(":")[0] for line in again.stdout.splitlines()] == list(SERVICES)
    assert "proved" in again.stdout


def test_a_chain_that_is_not_the_one_of_the_anchor_is_exit_1() -> None:
    _run("keys", "create", "finance")

    result = _run("audit", "verify", "--since", f"gateway:1:{'ab' * 32}")

    assert result.exit_code == 1
    assert "gateway: audit chain broken: audit entry 1" in result.stdout
    assert _run("audit", "verify", "--since", "gateway:1").exit_code == 2
    assert _run("audit", "verify", "--since", f"nothing:1:{'ab' * 32}").exit_code == 2


def test_people_read_a_table() -> None:
    made = json.loads(_run("keys", "create", "finance", "--json").stdout)

    table = _run("audit", "list", "gateway", "--object-id", made["id"], "--from", "2020-01-01")

    assert "tributary keys create" in table.stdout
    assert "operator" in table.stdout
    assert _run("audit", "list", "gateway", "--object-id", made["id"], "--denied").stdout.count("\n") == 1


async def _set_aside(url: str, consumer: str) -> int:
    database = Database(url, role="conversions_worker", pool_size=1)

    async def act(session: Session) -> int:
        received = Received("clicks.v1", 0, 0, b"key", b"{}")
        await set_aside(session, consumer=consumer, received=received, reason="cannot be", now=datetime.now(UTC))
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO position (consumer, topic, partition, next_offset, log_id) VALUES ($1, 't', 0, 1, 'x')",
            (consumer,),
        )
        return (await list_dead_letters(session, consumer=consumer, limit=1))[0].dead_letter_id

    async with database.transaction() as session:
        number = await act(session)
    await database.close()
    return number
