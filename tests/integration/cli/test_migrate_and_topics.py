"""Migrations and topics from the command line: on a real PostgreSQL, and on a real Kafka."""

import asyncio
import json

import asyncpg
import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from deploy.local.roles import SERVICES
from shared.contracts.topics import TOPICS
from shared.runtime.migrations import newest_revision
from tests.conftest import TestKafka, TestPostgres

SERVICE, NEWER = "clicks", "gateway"
"""Apart, so that neither test finds what the other did."""


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def _execute(url: str, statement: str) -> None:
    async def once() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        runner.run(once())


@pytest.fixture
def empty(mortal_postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> TestPostgres:
    """A server of this module's own, provisioned; DATABASE_URL_<SERVICE> names its databases."""
    for service in SERVICES:
        monkeypatch.setenv(f"DATABASE_URL_{service.upper()}", mortal_postgres.url(service))
    return mortal_postgres


def test_what_is_missing_is_told_then_done_and_then_nothing_is_missing(empty: TestPostgres) -> None:
    before = _run("migrate", SERVICE, "--check", "--json")
    done = _run("migrate", SERVICE)
    after = _run("migrate", SERVICE, "--check", "--json")
    others = _run("migrate", "--check", "--json")

    newest = newest_revision(SERVICE)
    assert (before.exit_code, done.exit_code, after.exit_code, others.exit_code) == (1, 0, 0, 1)
    assert json.loads(before.stdout) == [{"service": SERVICE, "at": None, "newest": newest, "standing": "behind"}]
    assert json.loads(after.stdout) == [{"service": SERVICE, "at": newest, "newest": newest, "standing": "newest"}]
    assert _run("migrate").exit_code == 0
    assert _run("migrate", "--check").exit_code == 0


def test_a_database_of_a_newer_version_is_left_alone_with_a_plain_message(empty: TestPostgres) -> None:
    assert _run("migrate", NEWER).exit_code == 0
    url = empty.admin_url(f"tributary_{NEWER}")
    _execute(url, "UPDATE alembic_version SET version_num = '9999'")
    try:
        refused, checked = _run("migrate", NEWER), _run("migrate", NEWER, "--check", "--json")
    finally:
        _execute(url, f"UPDATE alembic_version SET version_num = '{newest_revision(NEWER)}'")

    assert refused.exit_code == 2
    assert "does not know" in refused.stderr
    assert "Traceback" not in refused.output
    assert json.loads(checked.stdout)[0]["standing"] == "of a newer version"


def test_the_embedded_log_needs_no_topics_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_ID", "embedded")

    listed = _run("topics", "list", "--json")

    assert [topic["name"] for topic in json.loads(listed.stdout)] == list(TOPICS)
    assert [_run("topics", command).exit_code for command in ("create", "verify")] == [0, 0]


@pytest.mark.kafka
def test_topics_are_made_verified_and_a_difference_is_named(kafka: TestKafka, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("LOG_ID", kafka.log_id)

    made, verified, listed = _run("topics", "create"), _run("topics", "verify"), _run("topics", "list", "--json")
    monkeypatch.setenv("LOG_ID", "another-cluster")
    stranger = _run("topics", "verify")

    assert (made.exit_code, verified.exit_code, stranger.exit_code) == (0, 0, 1)
    assert kafka.log_id in stranger.stderr
    found = {topic["name"]: topic for topic in json.loads(listed.stdout)}
    assert set(found) == set(TOPICS)
    assert all(topic["replicas"] == 1 and topic["problem"] == "" for topic in found.values())
