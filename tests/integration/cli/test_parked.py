"""Parked events are listed and let go; dead letters that nothing can handle are given up. On a real PostgreSQL."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from shared.contracts.topics import CATALOGUE, CONVERSIONS
from shared.runtime.database import Database, Session
from shared.runtime.dead_letter import set_aside
from shared.runtime.event_log.interface import Received
from tests.conftest import TestPostgres

InSession = Callable[[Session], Coroutine[Any, Any, Any]]


def _run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=answer)


class _Worker:
    """What the gateway's worker does to its database."""

    def __init__(self, url: str) -> None:
        self._url = url

    def transact(self, act: InSession, *, role: str = "gateway_worker") -> Any:
        async def once() -> Any:
            database = Database(self._url, role=role, pool_size=1)
            try:
                async with database.transaction() as session:
                    return await act(session)
            finally:
                await database.close()

        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(once())

    def ask(self, statement: str, *values: object, role: str = "gateway_worker") -> list[tuple[Any, ...]]:
        async def act(session: Session) -> list[tuple[Any, ...]]:
            connection = await session.connection()
            result = await connection.exec_driver_sql(statement, values)
            return [tuple(row) for row in result] if result.returns_rows else []

        rows: list[tuple[Any, ...]] = self.transact(act, role=role)
        return rows

    def append(self, topic: str, key: str, *, parked: str | None = None) -> int:
        """An outbox row: parked for a reason, or published."""
        [(outbox_id,)] = self.ask(
            "INSERT INTO outbox (topic, key, event_id, payload, parked_reason, published_at) VALUES"
            " ($1, $2, $3, $4, $5::text, CASE WHEN $5::text IS NULL THEN now() END) RETURNING id",
            topic,
            key.encode(),
            uuid4(),
            b"{}",
            parked,
        )
        return int(outbox_id)

    def entries(self, action: str) -> list[tuple[Any, ...]]:
        """Who did it to what, of the entries of `action`, oldest first; the last field: it changed something."""
        return self.ask(
            "SELECT role, object_type, object_id, before_hash IS DISTINCT FROM after_hash"
            " FROM audit_entry WHERE action = $1 ORDER BY number",
            action,
            role="gateway_staff",
        )

    def reason(self, outbox_id: int) -> str | None:
        [(reason,)] = self.ask("SELECT parked_reason FROM outbox WHERE id = $1", outbox_id)
        return None if reason is None else str(reason)


@pytest.fixture
def worker(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Worker]:
    """The gateway's database, as DATABASE_URL_GATEWAY names it."""
    url = postgres.migrate("gateway")
    monkeypatch.setenv("DATABASE_URL_GATEWAY", url)
    worker = _Worker(url)
    yield worker
    worker.ask("DELETE FROM outbox")
    worker.ask("DELETE FROM dead_letter")


def test_nothing_parked_is_exit_0(worker: _Worker) -> None:
    result = _run("parked", "list", "gateway")

    assert (result.exit_code, result.stdout.strip()) == (0, "Nothing is parked in gateway.")


def test_a_parked_event_is_listed_and_let_go(worker: _Worker) -> None:
    outbox_id = worker.append(CONVERSIONS, "c-1", parked="unknown topic")

    listed = _run("parked", "list", "gateway", "--json")
    released = _run("parked", "release", "gateway", str(outbox_id))

    assert listed.exit_code == 1
    [shown] = json.loads(listed.stdout)
    assert (shown["id"], shown["topic"], shown["key"]) == (outbox_id, CONVERSIONS, "c-1")
    assert (shown["payload_bytes"], shown["overtaken"], shown["reason"]) == (2, False, "unknown topic")
    assert released.exit_code == 0
    assert worker.reason(outbox_id) is None
    assert _run("parked", "release", "gateway", str(outbox_id)).exit_code == 1
    entries = worker.entries("tributary parked release")
    assert [entry for entry in entries if entry[2] == str(outbox_id)] == [
        ("operator", "parked_event", str(outbox_id), True)
    ]


def test_a_state_that_was_overtaken_is_not_let_go(worker: _Worker) -> None:
    """The catalogue is its last state by place in the log: an older one behind a newer one would undo it."""
    outbox_id = worker.append(CATALOGUE, "offer:1", parked="unknown topic")
    worker.append(CATALOGUE, "offer:1")

    refused = _run("parked", "release", "gateway", str(outbox_id))

    assert refused.exit_code == 1
    assert "undo" in refused.stderr
    assert worker.reason(outbox_id) == "unknown topic"
    assert str(outbox_id) not in [entry[2] for entry in worker.entries("tributary parked release")]


def test_a_dead_letter_is_given_up_with_the_reason_and_only_when_asked_to(worker: _Worker) -> None:
    async def act(session: Session) -> None:
        received = Received(CATALOGUE, 0, 4, b"k", b"junk")
        await set_aside(
            session, consumer="gateway.x", received=received, reason="not JSON", now=datetime(2026, 3, 1, tzinfo=UTC)
        )

    worker.transact(act)
    [letter] = json.loads(_run("dead-letters", "list", "gateway", "--json").stdout)
    arguments = ("dead-letters", "close", "gateway", str(letter["id"]), "--because", "sent by hand")

    refused = _run(*arguments, answer="n\n")
    [still_open] = json.loads(_run("dead-letters", "list", "gateway", "--json").stdout)
    closed = _run(*arguments, answer="y\n")

    assert (refused.exit_code, closed.exit_code) == (1, 0)
    assert still_open == letter
    assert _run("dead-letters", "list", "gateway").exit_code == 0
    [(reason,)] = worker.ask("SELECT reason FROM dead_letter WHERE id = $1", letter["id"])
    assert reason == "closed by hand: sent by hand; was: not JSON"
    assert _run(*arguments, "--yes").exit_code == 1
    entries = worker.entries("tributary dead-letters close")
    assert [entry for entry in entries if entry[2] == str(letter["id"])] == [
        ("operator", "dead_letter", str(letter["id"]), True)
    ]
