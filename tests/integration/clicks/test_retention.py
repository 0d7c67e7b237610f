"""Clicks expire by whole months, never under a long lock; the tombstones and letters that go with them too."""

# ruff: noqa: F811  (`house` is a fixture)

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest
from prometheus_client import REGISTRY
from sqlalchemy import text

from services.clicks.storage.retention_store import retention_step
from shared.runtime.retention import months_before
from tests.conftest import TestPostgres
from tests.factories.clicks import NOON, SettableClock
from tests.integration.clicks.test_click_log import House, click_event, house  # noqa: F401

STEP = retention_step(click_months=13)


async def sweep(house: House, at: datetime = NOON) -> int:
    """What the sweep of one moment removes, and that it then finds nothing more."""
    done = 0
    for _ in range(50):
        async with house.worker.transaction() as session:
            removed = await STEP(session, SettableClock(at))
        if not removed:
            return done
        done += removed
    raise AssertionError("the sweep never ends")


async def months(house: House) -> list[str]:
    async with house.staff.transaction() as session:
        return list(
            (
                await session.execute(text("SELECT DISTINCT tableoid::regclass::text AS m FROM click ORDER BY m"))
            ).scalars()
        )


def metric(name: str, what: str) -> float:
    return REGISTRY.get_sample_value(f"tributary_{name}", {"what": what}) or 0.0


async def test_a_month_goes_once_all_of_it_is_thirteen_months_old(house: House) -> None:
    ages = ["2025-09-30T23:59:59+00:00", "2025-10-01T00:00:00+00:00", "2026-11-24T12:00:00+00:00"]
    await house.log(*(click_event(clicked_at=datetime.fromisoformat(at)) for at in ages))

    await sweep(house, datetime(2026, 10, 31, 23, 59, tzinfo=UTC))
    before = await months(house)
    dropped_before = metric("retention_dropped_partitions_total", "click")
    first = await sweep(house, datetime(2026, 11, 1, tzinfo=UTC))
    again = await sweep(house, datetime(2026, 11, 1, tzinfo=UTC))

    assert before == ["click_2025_09", "click_2025_10", "click_2026_11"]
    assert await months(house) == ["click_2025_10", "click_2026_11"]
    assert (first, again) == (1, 0)
    assert metric("retention_dropped_partitions_total", "click") == dropped_before + 1
    assert metric("retention_oldest_kept_seconds", "click") == pytest.approx(timedelta(days=396).total_seconds())


async def test_a_busy_table_is_left_to_the_next_sweep_and_keeps_nobody_waiting(
    house: House,
    postgres: TestPostgres,
) -> None:
    await house.log(click_event(clicked_at=datetime(2024, 1, 5, tzinfo=UTC)))
    reader = await asyncpg.connect(postgres.admin_url("tributary_clicks"))
    busy = reader.transaction()
    await busy.start()
    await reader.execute("SELECT count(*) FROM click")
    postponed = metric("retention_postponed_attempts_total", "click")

    while_busy = await sweep(house)
    await busy.rollback()
    await reader.close()
    afterwards = await sweep(house)

    assert (while_busy, afterwards) == (0, 1)
    assert metric("retention_postponed_attempts_total", "click") == postponed + 1


async def test_a_late_event_of_a_dropped_month_is_taken_and_goes_with_the_next_sweep(house: House) -> None:
    late = click_event(clicked_at=datetime(2024, 3, 5, tzinfo=UTC))
    await house.log(late)
    await sweep(house)

    await house.log(late)
    back = await months(house)
    await sweep(house)

    assert back == ["click_2024_03"]
    assert await months(house) == []


async def test_only_the_worker_may_drop_a_month(house: House) -> None:
    for database in (house.api, house.staff):
        with pytest.raises(Exception, match="permission denied"):
            async with database.transaction() as session:
                await session.execute(text("SELECT drop_click_month_before(now())"))


async def test_letters_of_a_topic_that_forgets_are_forgotten_and_those_that_hold_money_are_not(house: House) -> None:
    insert = (
        'INSERT INTO dead_letter (consumer, topic, partition, "offset", payload, reason, failed_at, replayed_at)'
        " VALUES ('c', :topic, 0, 0, 'p', :name, :failed_at, :replayed_at)"
    )
    old, week = NOON - timedelta(days=31), NOON - timedelta(days=8)
    letters: list[dict[str, Any]] = [
        {"topic": "clicks.v1", "name": "click, open, old", "failed_at": old, "replayed_at": None},
        {"topic": "clicks.v1", "name": "click, open, fresh", "failed_at": week, "replayed_at": None},
        {"topic": "conversions.v1", "name": "money, open, old", "failed_at": old, "replayed_at": None},
        {"topic": "conversions.v1", "name": "money, replayed", "failed_at": old, "replayed_at": week},
    ]
    async with house.worker.transaction() as session:
        await session.execute(text("DELETE FROM dead_letter"))
        await session.execute(text("DELETE FROM outbox WHERE parked_reason IS NOT NULL"))
        for letter in letters:
            await session.execute(text(insert), letter)
        for topic in ("clicks.v1", "conversions.v1"):
            await session.execute(
                text(
                    "INSERT INTO outbox (topic, event_id, payload, created_at, parked_reason)"
                    " VALUES (:topic, gen_random_uuid(), 'p', :at, 'event too large')"
                ),
                {"topic": topic, "at": old},
            )

    await sweep(house)

    async with house.worker.transaction() as session:
        kept = (await session.execute(text("SELECT reason FROM dead_letter ORDER BY id"))).scalars().all()
        parked = (
            (await session.execute(text("SELECT topic FROM outbox WHERE parked_reason IS NOT NULL"))).scalars().all()
        )
        await session.execute(text("DELETE FROM dead_letter"))
        await session.execute(text("DELETE FROM outbox WHERE parked_reason IS NOT NULL"))
    assert kept == ["click, open, fresh", "money, open, old"]
    assert parked == ["conversions.v1"]


def test_months_before_is_the_same_day_or_the_28th() -> None:
    assert months_before(datetime(2026, 3, 31, 5, tzinfo=UTC), 13) == datetime(2025, 2, 28, 5, tzinfo=UTC)
    assert months_before(datetime(2026, 12, 1, tzinfo=UTC), 12) == datetime(2025, 12, 1, tzinfo=UTC)
