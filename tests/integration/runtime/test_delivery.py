"""Delivery on both logs: in order, exactly once in effect, through poison, zombies, replay and restarts."""

import asyncio
from collections.abc import Sequence

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from shared.runtime.clock import SystemClock
from shared.runtime.consumer import Consumer, Received
from shared.runtime.dead_letter import DeadLetter, list_dead_letters, request_replay
from shared.runtime.event_log import LogIdentityMismatch, PositionOutOfRange, Positions, reset_positions
from tests.conftest import TestBroker, TestPostgres
from tests.integration.runtime.stage import Stage, record_effects, until


async def test_events_of_a_key_arrive_in_order_and_once(stage: Stage) -> None:
    for part in range(3):
        await stage.publish([f"a{part * 10 + number}" for number in range(10)], key="a")
        await stage.publish([f"b{part * 10 + number}" for number in range(10)], key="b")

    async with stage.relaying(), stage.consuming():
        await until(lambda: _has(stage, 60))

    bodies = await stage.bodies()
    assert [body for body in bodies if body[0] == "a"] == [f"a{number}" for number in range(30)]
    assert [body for body in bodies if body[0] == "b"] == [f"b{number}" for number in range(30)]


async def test_effect_and_position_commit_together(stage: Stage) -> None:
    attempts = 0

    async def fail_after_effects(session: AsyncSession, batch: Sequence[Received]) -> None:
        nonlocal attempts
        attempts += 1
        await record_effects(session, batch)
        if attempts <= 6:
            raise RuntimeError("not yet")

    await stage.publish([str(number) for number in range(10)])

    async with stage.relaying(), stage.consuming(handler=fail_after_effects):
        await until(lambda: _has(stage, 10))

    assert await stage.bodies() == [str(number) for number in range(10)]
    assert attempts > 6


async def test_poison_goes_to_dead_letter_and_back(stage: Stage) -> None:
    await stage.publish(["poison first", "1", "2", "null", "3"])
    healed = False

    async def handler(session: AsyncSession, batch: Sequence[Received]) -> None:
        if healed:
            batch = [
                Received(r.topic, r.partition, r.offset, r.key, r.payload.replace(b"poison", b"cured")) for r in batch
            ]
        await record_effects(session, batch)

    async with stage.relaying(), stage.consuming(handler=handler):
        await until(lambda: _has(stage, 3))
        assert await stage.bodies() == ["1", "2", "3"]

        letters = await _letters(stage)
        assert [letter.received.payload for letter in letters] == [b"poison first", b"null"]
        assert letters[0].reason == "poison"
        assert "22" in letters[1].reason

        healed = True
        database = stage.consumer_database()
        async with database.transaction() as session:
            assert await request_replay(session, letters[0].dead_letter_id, now=SystemClock().now())
        await database.close()
        await until(lambda: _has(stage, 4))

    assert (await stage.bodies())[-1] == "cured first"
    assert len(await _letters(stage)) == 1


async def test_consumer_stops_at_its_dead_letter_limit_and_goes_on_when_there_is_room(stage: Stage) -> None:
    await stage.publish(["poison 1", "poison 2", "poison 3", "good"])
    healed = False

    async def handler(session: AsyncSession, batch: Sequence[Received]) -> None:
        await record_effects(session, [r for r in batch if not (healed and r.payload.startswith(b"poison"))])

    async with stage.relaying(), stage.consuming(handler=handler, dead_letter_limit=2) as consumer:
        await until(lambda: _says(consumer, "dead letters"))
        assert await stage.bodies() == []
        assert len(await _letters(stage)) == 2

        healed = True
        database = stage.consumer_database()
        async with database.transaction() as session:
            for letter in await list_dead_letters(session, consumer=stage.consumer_name):
                await request_replay(session, letter.dead_letter_id, now=SystemClock().now())
        await database.close()
        await until(lambda: _has(stage, 1))

    assert await stage.bodies() == ["good"]


async def test_zombie_changes_nothing(stage: Stage) -> None:
    await stage.publish([str(number) for number in range(10)])
    source = stage.source()
    database = stage.consumer_database()
    positions = Positions(database=database, consumer=stage.consumer_name, topic=stage.topic.name, log_id=source.log_id)

    async with stage.relaying():
        await source.start(positions)
        batch = None
        async with asyncio.timeout(30):
            while batch is None:
                batch = await source.fetch(20)
        await source.stop()
        async with stage.consuming():
            await until(lambda: _has(stage, 10))
        async with database.transaction() as session:
            moved = await positions.move(
                session,
                partition=batch.partition,
                expected_offset=batch.expected_offset,
                end_offset=batch.end_offset,
            )
    await database.close()

    assert not moved
    assert await stage.bodies() == [str(number) for number in range(10)]


async def test_two_workers_share_a_consumer_without_double_effect(stage: Stage) -> None:
    async with stage.relaying(), stage.consuming(batch_size=5), stage.consuming(batch_size=5):
        for part in range(20):
            await stage.publish([f"{part}-{number}" for number in range(10)], key=f"key{part % 7}")
        await until(lambda: _has(stage, 200))
        await asyncio.sleep(0.5)

    bodies = await stage.bodies()
    assert len(bodies) == 200
    assert len(set(bodies)) == 200


async def test_replay_from_the_beginning_gives_the_same_events_again(stage: Stage) -> None:
    await stage.publish([str(number) for number in range(10)])

    async with stage.relaying(), stage.consuming():
        await until(lambda: _has(stage, 10))
        database = stage.consumer_database()
        async with database.transaction() as session:
            assert await reset_positions(session, stage.consumer_name) >= 1
        await database.close()
        await until(lambda: _has(stage, 20))  # on a topic where nothing new happens

    first, second = (await stage.effects())[:10], (await stage.effects())[10:20]
    assert first == second


async def test_positions_of_another_log_are_refused(stage: Stage) -> None:
    await stage.ask(
        "INSERT INTO position (consumer, topic, partition, next_offset, log_id)"
        " SELECT :consumer, :topic, generate_series(0, 1), 0, 'another-log' RETURNING 1",
        consumer=stage.consumer_name,
        topic=stage.topic.name,
    )
    await stage.publish(["1"])
    database = stage.consumer_database()
    consumer = stage.consumer(database)

    async with stage.relaying():
        with pytest.raises(LogIdentityMismatch, match="reset the consumer's positions"):
            await asyncio.wait_for(consumer.run(), 30)
    await database.close()

    assert "another-log" in (await consumer.health() or "")
    assert await stage.bodies() == []


async def test_position_after_the_end_of_the_log_stops_loudly(stage: Stage) -> None:
    await stage.publish(["1", "2"])
    async with stage.relaying(), stage.consuming():
        await until(lambda: _has(stage, 2))
    await stage.ask(
        "UPDATE position SET next_offset = 1000 WHERE consumer = :consumer RETURNING 1", consumer=stage.consumer_name
    )
    database = stage.consumer_database()
    consumer = stage.consumer(database)

    with pytest.raises(PositionOutOfRange):
        await asyncio.wait_for(consumer.run(), 30)
    await database.close()


async def test_bad_outbox_rows_are_parked_and_stall_nobody(stage: Stage) -> None:
    await stage.publish(["unknown"], topic=f"unknown-{stage.topic.name}")
    await stage.publish([b"x" * 1_100_000], key="a")
    await stage.publish(["good"], key="a")

    async with stage.relaying(), stage.consuming():
        await until(lambda: _has(stage, 1))

    database = stage.producer_database()
    async with database.transaction() as session:
        rows = await session.execute(
            text("SELECT parked_reason FROM outbox WHERE topic LIKE :topic AND parked_reason IS NOT NULL ORDER BY id"),
            {"topic": f"%{stage.topic.name}"},
        )
        assert [row[0] for row in rows] == ["unknown topic", "event too large"]
    await database.close()
    assert await stage.bodies() == ["good"]


async def test_postgres_restart_heals(stage: Stage, postgres: TestPostgres) -> None:
    async with stage.relaying(), stage.consuming():
        await stage.publish(["before"])
        await until(lambda: _has(stage, 1))

        await asyncio.to_thread(postgres.restart)
        await stage.publish(["after"])
        await until(lambda: _has(stage, 2))

    assert await stage.bodies() == ["before", "after"]


async def test_broker_killed_and_back_loses_nothing(stage: Stage, broker: TestBroker) -> None:
    if broker.kafka is None:
        pytest.skip("Kafka only; for the embedded log the broker is PostgreSQL")
    async with stage.relaying(), stage.consuming():
        await stage.publish(["before"])
        await until(lambda: _has(stage, 1))

        await asyncio.to_thread(broker.kafka.running.kill)
        await stage.publish(["during"])
        await asyncio.sleep(1)
        await asyncio.to_thread(broker.kafka.running.start)
        await stage.publish(["after"])
        await until(lambda: _has(stage, 3), 60)

    assert list(dict.fromkeys(await stage.bodies())) == ["before", "during", "after"]


async def _has(stage: Stage, count: int) -> bool:
    return len(await stage.effects()) >= count


async def _says(consumer: Consumer, words: str) -> bool:
    return words in (await consumer.health() or "")


async def _letters(stage: Stage) -> list[DeadLetter]:
    database = stage.consumer_database()
    async with database.transaction() as session:
        letters = await list_dead_letters(session, consumer=stage.consumer_name)
    await database.close()
    return letters
