"""Dead letters and positions on a real PostgreSQL, as the roles the command takes."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from shared.runtime.database import Database, Session
from shared.runtime.dead_letter import DeadLetter, list_dead_letters, mark_replayed, set_aside, take_requested
from shared.runtime.event_log.interface import Received
from tests.conftest import TestPostgres

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
InSession = Callable[[Session], Coroutine[Any, Any, Any]]


def _run(*arguments: str, answer: str | None = None) -> Result:
    return CliRunner().invoke(app, arguments, input=answer)


class _Worker:
    """What the conversions worker does to its database, one transaction at a time, under a consumer of its own."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.consumer = f"conversions.test_{uuid4().hex[:8]}"

    def transact(self, act: InSession) -> Any:
        async def once() -> Any:
            database = Database(self._url, role="conversions_worker", pool_size=1)
            try:
                async with database.transaction() as session:
                    return await act(session)
            finally:
                await database.close()

        with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
            return runner.run(once())

    def set_aside(self, payload: bytes = b'{"amount": 1}', *, offset: int = 0) -> int:
        received = Received("clicks.v1", 3, offset, b"key", payload)

        async def act(session: Session) -> int:
            await set_aside(session, consumer=self.consumer, received=received, reason="cannot be", now=NOW)
            found: list[DeadLetter] = await list_dead_letters(session, consumer=self.consumer, limit=1_000)
            return found[-1].dead_letter_id

        number: int = self.transact(act)
        return number

    def stand_at(self, *offsets: int) -> None:
        async def act(session: Session) -> None:
            connection = await session.connection()
            for partition, offset in enumerate(offsets):
                await connection.exec_driver_sql(
                    "INSERT INTO position (consumer, topic, partition, next_offset, log_id)"
                    " VALUES ($1, 'clicks.v1', $2, $3, 'embedded')",
                    (self.consumer, partition, offset),
                )

        self.transact(act)

    def count_positions(self) -> int:
        async def act(session: Session) -> int:
            connection = await session.connection()
            result = await connection.exec_driver_sql(
                "SELECT count(*) FROM position WHERE consumer = $1", (self.consumer,)
            )
            return int(result.scalar_one())

        count: int = self.transact(act)
        return count

    def forget(self) -> None:
        async def act(session: Session) -> None:
            connection = await session.connection()
            await connection.exec_driver_sql("DELETE FROM position WHERE consumer = $1", (self.consumer,))
            await connection.exec_driver_sql("DELETE FROM dead_letter WHERE consumer = $1", (self.consumer,))

        self.transact(act)


@pytest.fixture
def worker(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> Iterator[_Worker]:
    """A consumer that no other test knows, in the database that DATABASE_URL_CONVERSIONS names."""
    url = postgres.migrate("conversions")
    monkeypatch.setenv("DATABASE_URL_CONVERSIONS", url)
    worker = _Worker(url)
    yield worker
    worker.forget()


def test_open_dead_letters_are_listed_oldest_first_and_exit_1(worker: _Worker) -> None:
    numbers = [worker.set_aside(offset=7), worker.set_aside(offset=8)]

    result = _run("dead-letters", "list", "conversions", "--consumer", worker.consumer, "--json")

    assert result.exit_code == 1
    letters = json.loads(result.stdout)
    assert [letter["id"] for letter in letters] == numbers
    assert letters[0] == {
        "id": numbers[0],
        "consumer": worker.consumer,
        "topic": "clicks.v1",
        "partition": 3,
        "offset": 7,
        "reason": "cannot be",
        "failed_at": "2026-03-01T12:00:00+00:00",
        "replay_requested_at": None,
    }


def test_the_list_can_be_walked_in_pieces(worker: _Worker) -> None:
    numbers = [worker.set_aside(offset=offset) for offset in range(3)]
    options = ("--consumer", worker.consumer, "--json", "--limit", "2")

    first = json.loads(_run("dead-letters", "list", "conversions", *options).stdout)
    rest = json.loads(_run("dead-letters", "list", "conversions", *options, "--after", str(numbers[1])).stdout)

    assert [letter["id"] for letter in [*first, *rest]] == numbers


def test_none_is_exit_0(worker: _Worker) -> None:
    result = _run("dead-letters", "list", "conversions", "--consumer", worker.consumer)

    assert result.exit_code == 0
    assert "No dead letters" in result.stdout


@pytest.mark.parametrize(
    ("payload", "shown"),
    [(b'{"amount": 1}', {"payload": {"amount": 1}}), (b"\xff\x00", {"payload_base64": "/wA="})],
)
def test_a_payload_is_shown_even_when_it_is_not_json(worker: _Worker, payload: bytes, shown: dict[str, Any]) -> None:
    number = worker.set_aside(payload)

    table, document = (_run("dead-letters", "show", "conversions", str(number), *more) for more in ((), ("--json",)))

    assert (table.exit_code, document.exit_code) == (0, 0)
    assert json.loads(document.stdout).items() >= shown.items()
    assert "cannot be" in table.stdout


def test_the_consumer_finds_what_the_operator_asked_for(worker: _Worker) -> None:
    number = worker.set_aside()

    async def take(session: Session) -> DeadLetter | None:
        return await take_requested(session, worker.consumer)

    before = worker.transact(take)
    result = _run("dead-letters", "replay", "conversions", str(number))

    assert before is None
    assert result.exit_code == 0
    assert worker.transact(take).dead_letter_id == number


def test_what_was_replayed_is_not_open_any_more(worker: _Worker) -> None:
    number = worker.set_aside()

    async def done(session: Session) -> None:
        await mark_replayed(session, number, now=NOW)

    worker.transact(done)

    for command in ("show", "replay"):
        result = _run("dead-letters", command, "conversions", str(number))
        assert result.exit_code == 1
        assert f"no open dead letter {number}" in result.stderr


def test_replay_forgets_every_position_of_that_consumer_only(worker: _Worker, postgres: TestPostgres) -> None:
    neighbour = _Worker(postgres.url("conversions"))
    worker.stand_at(5, 9)
    neighbour.stand_at(4)

    result = _run("replay", worker.consumer, "--yes")

    assert result.exit_code == 0
    assert "on 2 partitions" in result.stdout
    assert worker.count_positions() == 0
    assert neighbour.count_positions() == 1
    neighbour.forget()


def test_replay_asks_first(worker: _Worker) -> None:
    worker.stand_at(5)

    refused = _run("replay", worker.consumer, answer="n\n")
    standing = worker.count_positions()
    agreed = _run("replay", worker.consumer, answer="y\n")

    assert (refused.exit_code, standing) == (1, 1)
    assert (agreed.exit_code, worker.count_positions()) == (0, 0)


def test_an_unknown_consumer_is_exit_1_and_the_known_are_named(worker: _Worker) -> None:
    worker.stand_at(5)

    result = _run("replay", "conversions.nobody", "--yes")

    assert result.exit_code == 1
    assert worker.consumer in result.stderr
    assert worker.count_positions() == 1


def test_the_doctor_finds_database_migrations_and_clock_well(worker: _Worker) -> None:
    result = _run("doctor", "--json")

    verdicts = {finding["check"]: finding["verdict"] for finding in json.loads(result.stdout)}
    assert verdicts["database conversions"] == "ok"
    assert verdicts["migrations conversions"] == "ok"
    assert verdicts["clock"] == "ok"
