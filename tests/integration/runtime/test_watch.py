"""What an operator sees of consumers, relays and connections, on both logs."""

import asyncio
from collections.abc import Callable, Sequence

from prometheus_client import REGISTRY
from sqlalchemy.ext.asyncio import AsyncSession

from shared.runtime.consumer import Received
from shared.runtime.database import Database, after_commit
from shared.runtime.metrics import render_metrics
from tests.conftest import TestBroker, TestPostgres
from tests.integration.runtime.stage import Stage, record_effects, until


async def test_lag_is_counted_and_dated_while_a_handler_is_stuck_and_gone_afterwards(stage: Stage) -> None:
    is_stuck = True

    async def handler(session: AsyncSession, batch: Sequence[Received]) -> None:
        if is_stuck:
            raise RuntimeError("not yet")
        await record_effects(session, batch)

    await stage.publish([f"a{number}" for number in range(4)], key="a")
    await stage.publish([f"b{number}" for number in range(3)], key="b")

    async with stage.relaying(), stage.consuming(handler=handler):
        await until(lambda: _is(lambda: _lag(stage, "records") == 7))
        await until(lambda: _is(lambda: _lag(stage, "seconds") > 1))
        is_stuck = False
        await until(lambda: _is(lambda: (_lag(stage, "records"), _lag(stage, "seconds")) == (0, 0)))

    assert len(await stage.bodies()) == 7


async def test_open_dead_letters_are_shown(stage: Stage) -> None:
    await stage.publish(["poison", "poison too", "good"])

    async with stage.relaying(), stage.consuming():
        await until(
            lambda: _is(lambda: _value("dead_letters_open_records", consumer=stage.consumer_name) == 2),
        )
        assert _value("consumer_stopped_flag", consumer=stage.consumer_name) == 0, "said before it ever stops"


async def test_what_waits_and_what_is_parked_in_the_outbox_is_shown(stage: Stage) -> None:
    parked_before = len(await _parked(stage))
    await stage.publish(["good"])
    await stage.publish(["lost"], topic="no-such-topic.v1")

    async with stage.relaying():
        await until(lambda: _is(lambda: _value("outbox_parked_records", service="clicks") == parked_before + 1))
        await until(lambda: _is(lambda: _value("outbox_pending_records", service="clicks") == 0))


async def test_a_log_that_is_down_is_shown_as_unreachable(
    stage: Stage, broker: TestBroker, postgres: TestPostgres
) -> None:
    def is_reachable() -> bool:
        return _value("event_log_reachable_flag", task=stage.consumer_name) == 1

    async with stage.relaying(), stage.consuming():
        await until(lambda: _is(is_reachable))
        if broker.kafka is None:
            await asyncio.to_thread(postgres.kill_only)
        else:
            await asyncio.to_thread(broker.kafka.kill_only)
        try:
            await until(lambda: _is(lambda: not is_reachable()) if broker.kafka else _database_fails())
        finally:
            await asyncio.to_thread(postgres.restart if broker.kafka is None else broker.kafka.restart)
        await until(lambda: _is(is_reachable))


async def test_connections_in_use_are_shown_by_pool(stage: Stage) -> None:
    database = Database(stage.consumer_url, role="conversions_worker", pool_size=2, name="watched-pool")

    async with database.reading():
        render_metrics()
        in_use = _value("database_in_use_connections", pool="watched-pool")
    render_metrics()

    assert (in_use, _value("database_in_use_connections", pool="watched-pool")) == (1, 0)
    assert _value("database_limit_connections", pool="watched-pool") == 2
    await database.close()


async def test_what_is_counted_after_a_commit_is_not_counted_after_a_rollback(stage: Stage) -> None:
    database = stage.consumer_database()
    counted = []

    async with database.transaction() as session:
        after_commit(session, lambda: counted.append("committed"))
        assert counted == []
    try:
        async with database.transaction() as session:
            after_commit(session, lambda: counted.append("rolled back"))
            raise RuntimeError
    except RuntimeError:
        pass

    assert counted == ["committed"]
    await database.close()


def _value(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"tributary_{name}", labels)
    return -1.0 if value is None else value


def _lag(stage: Stage, unit: str) -> float:
    """Over all partitions: the sum of records, the largest age."""
    found = [
        _value(f"consumer_lag_{unit}", consumer=stage.consumer_name, topic=stage.topic.name, partition=str(partition))
        for partition in range(stage.topic.partitions)
    ]
    known = [value for value in found if value >= 0]
    return (sum(known) if unit == "records" else max(known)) if known else -1.0


async def _is(condition: Callable[[], bool]) -> bool:
    return condition()


async def _database_fails() -> bool:
    failed = "tributary_database_failed_transactions_total"
    return any(sample.value > 0 for metric in REGISTRY.collect() for sample in metric.samples if sample.name == failed)


async def _parked(stage: Stage) -> list[tuple[object, ...]]:
    database = stage.producer_database()
    async with database.reading() as connection:
        rows = await connection.exec_driver_sql("SELECT id FROM outbox WHERE parked_reason IS NOT NULL")
        found = [tuple(row) for row in rows]
    await database.close()
    return found
