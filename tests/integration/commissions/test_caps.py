"""Caps reserve atomically: first recorded, first granted, exact stop, and what is refused stands as over_cap."""

import asyncio
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from shared.contracts.catalogue import CapV1
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import START, conversion, euros, fresh_id, offer_version
from tests.factories.ledger import Desk, balances, ledger_sha256, query, transactions_of

BUDGET = CapV1(name="budget", scope="offer", period="total", amount=euros(10_000))


async def used(database: Database, offer_id: int) -> dict[str, tuple[int, int]]:
    """(reserved, released) by key without the offer."""
    rows = await query(database, "SELECT key, reserved, released FROM cap_usage WHERE offer_id = $1", offer_id)
    return {str(key).split("/", 1)[1]: (int(str(held)), int(str(freed))) for key, held, freed in rows}


async def statuses(database: Database, ids: Sequence[UUID]) -> list[str]:
    """Of these conversions' commissions, in their order."""
    rows = await query(
        database, "SELECT conversion_id, status FROM commission WHERE conversion_id = ANY ($1)", list(ids)
    )
    found = {row[0]: row[1] for row in rows}
    return [str(found[each]) for each in ids]


async def test_what_does_not_fit_stands_over_its_cap_with_nothing_posted(worker_database: Database) -> None:
    desk, offer_id, ids = Desk(worker_database), fresh_id(), [uuid4() for _ in range(3)]
    await desk.publish(offer_version(offer_id, caps=[BUDGET]))

    for each, ordered in zip(ids, (50_000, 40_000, 33_333), strict=True):  # 60.00, 48.00 and 40.00 of charges
        await desk.convert(conversion(conversion_id=each, offer_id=offer_id, ordered=euros(ordered)))

    assert await statuses(worker_database, ids) == ["accrued", "over_cap", "accrued"]
    assert await used(worker_database, offer_id) == {"offer/total/EUR/budget": (10_000, 0)}
    assert await transactions_of(worker_database, [ids[1]]) == set()
    assert await query(
        worker_database,
        "SELECT commission_minor, target_commission_minor, target_margin_minor FROM commission"
        " WHERE conversion_id = $1",
        ids[1],
    ) == [(0, 4_000, 800)]


async def test_a_batch_is_granted_in_the_order_of_recording(worker_database: Database) -> None:
    desk, offer_id, ids = Desk(worker_database), fresh_id(), sorted((uuid4() for _ in range(8)), reverse=True)
    one = CapV1(name="first three", scope="offer", period="total", count=3)
    await desk.publish(offer_version(offer_id, caps=[one]))

    await desk.convert(
        *(
            conversion(
                conversion_id=each, offer_id=offer_id, ordered=euros(100), occurred_at=START + timedelta(seconds=place)
            )
            for place, each in enumerate(ids)
        )
    )

    assert await statuses(worker_database, ids) == ["accrued"] * 3 + ["over_cap"] * 5


async def test_every_cap_grants_or_none_reserves(worker_database: Database) -> None:
    desk, offer_id, one, two = Desk(worker_database), fresh_id(), uuid4(), uuid4()
    daily = CapV1(name="a/day", scope="affiliate", period="day", count=1)
    await desk.publish(offer_version(offer_id, caps=[BUDGET, daily]))

    await desk.convert(conversion(conversion_id=one, offer_id=offer_id, ordered=euros(1_000)))
    await desk.convert(conversion(conversion_id=two, offer_id=offer_id, ordered=euros(1_000)))

    assert await statuses(worker_database, [one, two]) == ["accrued", "over_cap"]
    assert await used(worker_database, offer_id) == {
        "offer/total/EUR/budget": (120, 0),
        "affiliate:3/2026-11-10/count/a/day": (1, 0),
    }


async def test_days_months_affiliates_and_events_are_counted_apart(worker_database: Database) -> None:
    desk, offer_id = Desk(worker_database), fresh_id()
    caps = [
        CapV1(name="day", scope="affiliate", period="day", count=1, event="sale"),
        CapV1(name="month", scope="offer", period="month", amount=euros(3_000)),
    ]
    await desk.publish(offer_version(offer_id, caps=caps))
    last_second = START.replace(day=30, hour=23, minute=59, second=59)
    cases = [
        (3, "sale", last_second, "accrued"),
        (3, "sale", last_second, "over_cap"),
        (3, "lead", last_second, "accrued"),  # the day's cap counts sales only
        (4, "sale", last_second, "accrued"),
        (3, "sale", last_second + timedelta(seconds=1), "accrued"),  # the next day, and the next month
    ]
    ids = [uuid4() for _ in cases]

    for each, (affiliate_id, event, at, _) in zip(ids, cases, strict=True):
        await desk.convert(
            conversion(
                conversion_id=each,
                offer_id=offer_id,
                affiliate_id=affiliate_id,
                event=event,
                ordered=euros(10_000),
                occurred_at=at,
            )
        )

    assert await statuses(worker_database, ids) == [expected for *_, expected in cases]
    assert (await used(worker_database, offer_id))["offer/2026-11/EUR/month"] == (1_200 + 550 + 1_200, 0)
    assert (await used(worker_database, offer_id))["offer/2026-12/EUR/month"] == (1_200, 0)


async def test_a_refund_and_a_reversal_give_back_and_a_refusal_stays(worker_database: Database) -> None:
    desk, offer_id, one, two, three = Desk(worker_database), fresh_id(), uuid4(), uuid4(), uuid4()
    await desk.publish(offer_version(offer_id, caps=[BUDGET]))
    all_of_it = euros(83_333)  # 100.00 of charges
    await desk.convert(conversion(conversion_id=one, offer_id=offer_id, ordered=all_of_it))
    await desk.convert(conversion(conversion_id=two, offer_id=offer_id, ordered=euros(100)))

    await desk.convert(
        conversion(2, conversion_id=one, offer_id=offer_id, ordered=all_of_it, net=euros(8_333), change="adjusted")
    )
    after_refund = await used(worker_database, offer_id)
    await desk.convert(conversion(2, "approved", conversion_id=two, offer_id=offer_id, ordered=euros(100)))
    await desk.convert(conversion(3, "reversed", conversion_id=one, offer_id=offer_id, ordered=all_of_it, net=euros(0)))
    await desk.convert(conversion(conversion_id=three, offer_id=offer_id, ordered=all_of_it))

    assert after_refund == {"offer/total/EUR/budget": (1_000, 0)}
    assert await statuses(worker_database, [one, two, three]) == ["reversed", "over_cap", "accrued"]
    assert await used(worker_database, offer_id) == {"offer/total/EUR/budget": (10_000, 0)}


async def test_a_higher_price_needs_room_or_stays_at_what_was_granted(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id, caps=[BUDGET]))
    nets = (50_000, 80_000, 100_000, 100_000, 60_000)
    stood = []

    for version, net in enumerate(nets, start=1):
        status = "pending" if version < 4 else "approved"
        await desk.convert(
            conversion(version, status, conversion_id=one, offer_id=offer_id, ordered=euros(50_000), net=euros(net))  # type: ignore[arg-type]
        )
        stood.append(
            (
                await query(
                    worker_database,
                    "SELECT commission_minor, target_commission_minor FROM commission WHERE conversion_id = $1",
                    one,
                )
            )[0]
        )

    assert stood == [(5_000, None), (8_000, None), (8_000, 10_000), (8_000, 10_000), (6_000, None)]
    assert await used(worker_database, offer_id) == {"offer/total/EUR/budget": (7_200, 0)}
    assert (await balances(worker_database, [one]))["affiliate_payable:3 EUR"] == -6_000


async def test_a_later_version_raises_the_cap_for_its_own_conversions_over_the_same_usage(
    worker_database: Database,
) -> None:
    desk, offer_id, ids = Desk(worker_database), fresh_id(), [uuid4() for _ in range(4)]
    caps = [CapV1(name="budget", scope="offer", period="total", amount=euros(limit)) for limit in (1_200, 2_400)]
    await desk.publish(*(offer_version(offer_id, n, caps=[cap]) for n, cap in enumerate(caps, start=1)))

    for each, version in zip(ids, (1, 1, 2, 2), strict=True):
        await desk.convert(
            conversion(conversion_id=each, offer_id=offer_id, offer_version=version, ordered=euros(10_000))
        )

    assert await statuses(worker_database, ids) == ["accrued", "over_cap", "accrued", "over_cap"]
    assert await used(worker_database, offer_id) == {"offer/total/EUR/budget": (2_400, 0)}


async def test_a_cap_in_another_currency_cannot_count_an_order_and_refuses_it(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id, caps=[BUDGET]))

    await desk.convert(
        conversion(conversion_id=one, offer_id=offer_id, ordered=type(euros(1))(amount_minor=100, currency="USD"))
    )

    assert await statuses(worker_database, [one]) == ["over_cap"]


@pytest.mark.parametrize("seed", range(2))
async def test_two_hundred_at_once_stop_exactly_at_the_cap(postgres: TestPostgres, seed: int) -> None:
    chance = random.Random(seed)
    database = Database(postgres.migrate("commissions"), role="commissions_worker", pool_size=8)
    offer_id, ids = fresh_id(), [uuid4() for _ in range(200)]
    await Desk(database).publish(offer_version(offer_id, caps=[BUDGET]))
    events = [conversion(conversion_id=each, offer_id=offer_id, ordered=euros(833)) for each in ids]  # 1.00 each

    async def work(mine: list[object]) -> None:
        desk = Desk(database)
        while mine:
            batch, mine = mine[: (size := chance.randrange(1, 9))], mine[size:]
            await desk.convert(*batch)  # type: ignore[arg-type]

    await asyncio.gather(*(work(events[place::8]) for place in range(8)))  # type: ignore[arg-type]
    stand = await statuses(database, ids)
    usage = await used(database, offer_id)
    before = await ledger_sha256(database)
    await Desk(database).convert(*events)
    again = (await ledger_sha256(database), await used(database, offer_id))
    await database.close()

    assert (stand.count("accrued"), stand.count("over_cap")) == (100, 100)
    assert usage == {"offer/total/EUR/budget": (10_000, 0)}
    assert again == (before, usage)
