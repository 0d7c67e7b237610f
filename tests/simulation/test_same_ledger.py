"""Whatever happens to the events on their way, the ledger is the one that an undisturbed run would have written.

Random histories of conversions are delivered in order to one database's desk, and then again duplicated, reordered
across and within conversions, cut into other batches and crashed half-way. Ids differ between the two runs' histories
only in the conversions' own ids, which the comparison maps away.
"""

import asyncio
import random
from collections.abc import Sequence
from typing import cast
from uuid import UUID, uuid4

import pytest
from pydantic import SecretStr

from deploy.local.provision import ServiceDatabase, provision
from services.commissions.bootstrap import build_worker
from services.commissions.settings import CommissionsSettings
from services.commissions.storage.ledger_store import seal_posting
from services.commissions.verify import verify
from shared.contracts.catalogue import OfferVersionPublishedV1
from shared.contracts.conversions import ConversionChangedV1, ConversionStatusV1
from shared.contracts.topics import CATALOGUE, CONVERSIONS, TOPICS
from shared.runtime.database import Database
from shared.runtime.event_log.postgres import PostgresPublisher
from shared.runtime.migrations import upgrade
from shared.runtime.outbox import OutgoingEvent, append
from tests.conftest import TestPostgres
from tests.factories.commissions import FLAT, PERCENTAGE, conversion, euros, fresh_id, offer_version, received
from tests.factories.ledger import Desk, balances, query, transactions_of

SEEDS = range(12)
LIVES = 40


class _Crash(Exception):
    """Stands for a process that dies between two statements."""


def _history(chance: random.Random, ids: Sequence[UUID], offer_id: int) -> list[ConversionChangedV1]:
    """Each conversion's life, in order: recorded, perhaps refunded, approved, refunded again, reversed."""
    events = []
    for conversion_id in ids:
        kind, ordered, affiliate = chance.choice(("sale", "lead")), chance.randrange(1, 50_000), chance.randrange(1, 4)
        status, version, net = chance.choice(("pending", "pending", "held", "unattributed")), 1, ordered
        while True:
            events.append(
                conversion(
                    version,
                    cast(ConversionStatusV1, status),
                    conversion_id=conversion_id,
                    affiliate_id=affiliate,
                    event=kind,
                    offer_id=None if status == "unattributed" else offer_id,
                    ordered=euros(ordered),
                    net=euros(net),
                )
            )
            following = {
                "held": ("pending", "rejected"),
                "unattributed": ("unattributed", "pending"),
                "pending": ("pending", "approved", "reversed"),
                "approved": ("approved", "approved", "reversed"),
            }.get(str(status))
            if following is None or chance.random() < 0.25:
                break
            status, version = chance.choice(following), version + 1
            net = 0 if status in ("reversed", "rejected") else chance.randrange(0, net + 1)
    return events


def _model(events: Sequence[ConversionChangedV1]) -> dict[str, int]:
    """The balances by another road: the last version of each conversion, priced by hand."""
    sums: dict[str, int] = {}
    for event in {event.conversion_id: event for event in events}.values():
        if event.status not in ("pending", "approved") or event.net_amount is None or event.order_amount is None:
            continue
        net = event.net_amount.amount_minor
        if event.conversion_event == "sale":
            commission, margin = (net * 10 + 50) // 100, (net * 2 + 50) // 100
        else:
            commission, margin = (0, 0) if net == 0 else (500, 50)
        credited = f"affiliate_{'payable' if event.status == 'approved' else 'pending'}:{event.affiliate_id} EUR"
        for account, amount in (
            ("merchant_receivable:7 EUR", commission + margin),
            (credited, -commission),
            ("network_margin EUR", -margin),
        ):
            sums[account] = sums.get(account, 0) + amount
    return {account: amount for account, amount in sums.items() if amount}


def _disturbed(chance: random.Random, events: Sequence[ConversionChangedV1]) -> list[list[ConversionChangedV1]]:
    """The same events duplicated and shuffled, in batches of other sizes; nothing is lost."""
    delivered = [event for event in events for _ in range(chance.choice((1, 1, 2, 3)))]
    if chance.random() < 0.7:
        chance.shuffle(delivered)
    batches = []
    while delivered:
        size = chance.randrange(1, 60)
        batches.append(delivered[:size])
        delivered = delivered[size:]
    return batches


@pytest.mark.parametrize("seed", SEEDS)
async def test_disturbed_delivery_ends_in_the_ledger_of_the_model(
    postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    database = Database(postgres.migrate("commissions"), role="commissions_worker")
    desk, offer_id, ids = Desk(database), fresh_id(), [uuid4() for _ in range(LIVES)]
    history = _history(chance, ids, offer_id)
    published = chance.random() < 0.5
    if published:
        await desk.publish(offer_version(offer_id, terms=[PERCENTAGE, FLAT]))

    async def crashing(*arguments: object, **named: object) -> object:
        block = await seal_posting(*arguments, **named)  # type: ignore[arg-type]
        if chance.random() < 0.4:
            raise _Crash
        return block

    monkeypatch.setattr("services.commissions.usecases.write_posting.seal_posting", crashing)
    for batch in _disturbed(chance, history):
        while True:
            try:
                await desk.convert(*batch)
                break
            except _Crash:  # the process died before its commit; the batch comes again
                continue
    monkeypatch.undo()
    if not published:
        await desk.publish(offer_version(offer_id, terms=[PERCENTAGE, FLAT]))
    stands = await balances(database, ids)
    await database.close()

    assert stands == _model(history)


async def test_two_workers_on_interleaved_partitions_credit_each_conversion_once(postgres: TestPostgres) -> None:
    chance = random.Random(99)
    database = Database(postgres.migrate("commissions"), role="commissions_worker", pool_size=4)
    offer_id, ids = fresh_id(), [uuid4() for _ in range(200)]
    await Desk(database).publish(offer_version(offer_id, terms=[PERCENTAGE, FLAT]))
    history = _history(chance, ids, offer_id)

    async def work(own_seed: int) -> None:
        desk = Desk(database)
        for batch in _disturbed(random.Random(own_seed), history):
            await desk.convert(*batch)

    await asyncio.gather(work(1), work(2), work(3))
    stands = await balances(database, ids)
    await database.close()

    assert stands == _model(history)


async def test_an_empty_database_rebuilt_from_the_log_has_the_same_transactions(postgres: TestPostgres) -> None:
    """I5: equal by (id, entries, occurred_at), though blocks, batches and the order of the two topics differ."""
    chance = random.Random(2026)
    offer_id, ids = fresh_id(), [uuid4() for _ in range(120)]
    history = _history(chance, ids, offer_id)
    chance.shuffle(ids)
    history.sort(key=lambda event: event.version)  # each conversion's own order stays, as its key keeps it
    gateway = Database(postgres.migrate("gateway"), role="gateway_worker")
    conversions = Database(postgres.migrate("conversions"), role="conversions_worker")
    rebuilt_name = ServiceDatabase("commissions", "tributary_commissions_rebuilt", "tributary_commissions")
    await asyncio.to_thread(provision, postgres.admin_url(), [rebuilt_name])
    rebuilt_url = postgres.running.server.url(login=rebuilt_name.login, database=rebuilt_name.database)
    await asyncio.to_thread(upgrade, rebuilt_url, "commissions")
    first = Database(postgres.migrate("commissions"), role="commissions_staff")
    rebuilt = Database(rebuilt_url, role="commissions_staff")

    await _publish(conversions, history[:150])
    await _consume(postgres, postgres.url("commissions"), conversions, CONVERSIONS)
    await _publish(gateway, [offer_version(offer_id, terms=[PERCENTAGE, FLAT], hold_days=30)])
    await _consume(postgres, postgres.url("commissions"), gateway, CATALOGUE)
    for start in range(150, len(history), 40):
        await _publish(conversions, history[start : start + 40])
        await _consume(postgres, postgres.url("commissions"), conversions, CONVERSIONS)
    await _consume(postgres, rebuilt_url, gateway, CATALOGUE)
    await _consume(postgres, rebuilt_url, conversions, CONVERSIONS)

    written = await transactions_of(first, ids)
    assert len(written) > len(ids)
    assert await transactions_of(rebuilt, ids) == written
    assert await balances(rebuilt, ids) == _model(history)
    assert "versions repriced" in str(await verify(rebuilt, recompute=True))
    for database in (gateway, conversions, first, rebuilt):
        await database.close()


async def _consume(postgres: TestPostgres, url: str, producer: Database, topic: str) -> None:
    """Run the commissions consumer of `topic` on the database at `url` until it stands at the end of the log."""
    worker = build_worker(
        CommissionsSettings(
            environment="test",
            broker="embedded",
            database_url_commissions=SecretStr(url),
            database_url_gateway=SecretStr(postgres.url("commissions", database_of="gateway")),
            database_url_conversions=SecretStr(postgres.url("commissions", database_of="conversions")),
        )
    )
    consumer = worker.catalogue if topic == CATALOGUE else worker.conversions
    heads = await query(producer, "SELECT partition, next_offset FROM outbox_head WHERE topic = $1", topic)
    positions = "SELECT partition, next_offset FROM position WHERE consumer = $1"
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(30):
        while set(heads) - set(await query(worker.database, positions, consumer.name)):
            assert not running.done()
            await asyncio.sleep(0.02)
    consumer.stop()
    await running
    await worker.database.close()


async def _publish(producer: Database, events: Sequence[ConversionChangedV1 | OfferVersionPublishedV1]) -> None:
    """Through the producer's outbox, stamped as its relay does."""
    arriving = [(event.event_id, received(event)) for event in events]
    async with producer.transaction() as session:
        await append(
            session, [OutgoingEvent(each.topic, each.key, event_id, each.payload) for event_id, each in arriving]
        )
    async with producer.transaction() as session:
        await PostgresPublisher(topics=TOPICS).publish(session, 10_000)
