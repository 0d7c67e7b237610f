"""Versions become postings once, in order, whatever arrives when."""

from itertools import permutations
from uuid import uuid4

import msgspec
import pytest

from shared.runtime.consumer import UnprocessableEvent
from shared.runtime.database import Database
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.ledger import Desk, balances, ledger_sha256, query, transactions_of


async def test_a_batch_is_one_posting_and_one_block(worker_database: Database) -> None:
    desk, offer_id, ids = Desk(worker_database), fresh_id(), [uuid4() for _ in range(3)]
    await desk.publish(offer_version(offer_id))
    before = await query(worker_database, "SELECT count(*) FROM block")

    await desk.convert(*(conversion(conversion_id=each, offer_id=offer_id, ordered=euros(10_000)) for each in ids))

    assert await balances(worker_database, ids) == {
        "merchant_receivable:7 EUR": 3600,
        "affiliate_pending:3 EUR": -3000,
        "network_margin EUR": -600,
    }
    assert (await query(worker_database, "SELECT count(*) FROM block"))[0][0] == int(str(before[0][0])) + 1


async def test_the_same_events_again_change_not_one_byte(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    events = [
        conversion(1, conversion_id=one, offer_id=offer_id, ordered=euros(10_000)),
        conversion(2, "approved", conversion_id=one, offer_id=offer_id, ordered=euros(10_000), change="approved"),
    ]
    await desk.publish(offer_version(offer_id))
    await desk.convert(*events)
    once = await ledger_sha256(worker_database)

    for _ in range(3):
        await desk.convert(*events)
        await desk.convert(*reversed(events))
        await desk.publish(offer_version(offer_id))

    assert await ledger_sha256(worker_database) == once


async def test_every_order_of_arrival_ends_in_the_same_ledger(worker_database: Database) -> None:
    desk, offer_id = Desk(worker_database), fresh_id()
    await desk.publish(offer_version(offer_id))
    expected = None

    for order in permutations(range(4)):
        one = uuid4()
        versions = [
            conversion(1, conversion_id=one, offer_id=offer_id, ordered=euros(9_999)),
            conversion(
                2, conversion_id=one, offer_id=offer_id, ordered=euros(9_999), net=euros(3_333), change="adjusted"
            ),
            conversion(3, "approved", conversion_id=one, offer_id=offer_id, ordered=euros(9_999), net=euros(3_333)),
            conversion(4, "approved", conversion_id=one, offer_id=offer_id, ordered=euros(9_999), net=euros(1_111)),
        ]

        for place in order:
            await desk.convert(versions[place], versions[place])

        stands = await balances(worker_database, [one])
        expected = expected or stands
        assert (
            stands
            == expected
            == {
                "merchant_receivable:7 EUR": 133,
                "affiliate_payable:3 EUR": -111,
                "network_margin EUR": -22,
            }
        )
        assert await query(worker_database, "SELECT 1 FROM parked_event WHERE conversion_id = $1", one) == []


async def test_a_gap_waits_where_it_can_be_seen(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id))

    await desk.convert(conversion(2, "approved", conversion_id=one, offer_id=offer_id, ordered=euros(100)))

    assert await balances(worker_database, [one]) == {}
    assert await query(worker_database, "SELECT version, reason FROM parked_event WHERE conversion_id = $1", one) == [
        (2, "version_gap")
    ]


async def test_a_missing_offer_version_makes_it_wait_and_its_arrival_goes_on(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()

    await desk.convert(conversion(1, conversion_id=one, offer_id=offer_id, ordered=euros(10_000)))
    await desk.convert(conversion(2, "approved", conversion_id=one, offer_id=offer_id, ordered=euros(10_000)))
    waiting = await balances(worker_database, [one])
    await desk.publish(offer_version(offer_id))

    assert waiting == {}
    assert (await balances(worker_database, [one]))["affiliate_payable:3 EUR"] == -1000
    assert await query(worker_database, "SELECT 1 FROM parked_event WHERE conversion_id = $1", one) == []


@pytest.mark.parametrize("status", ["unattributed", "held", "waiting", "rejected"])
async def test_only_attributed_conversions_are_credited(worker_database: Database, status: str) -> None:
    desk, one = Desk(worker_database), uuid4()

    await desk.convert(conversion(1, status, conversion_id=one, offer_id=None, ordered=euros(10_000)))  # type: ignore[arg-type]

    assert await transactions_of(worker_database, [one]) == set()


async def test_a_held_conversion_is_credited_once_it_is_released(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id))

    await desk.convert(conversion(1, "held", conversion_id=one, offer_id=offer_id, ordered=euros(10_000)))
    await desk.convert(conversion(2, "pending", conversion_id=one, offer_id=offer_id, ordered=euros(10_000)))

    assert (await balances(worker_database, [one]))["affiliate_pending:3 EUR"] == -1000


async def test_what_can_never_be_credited_is_refused_for_good(worker_database: Database) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id))

    with pytest.raises(UnprocessableEvent, match="pricing_impossible"):
        await desk.convert(conversion(1, conversion_id=one, offer_id=offer_id, event="never_agreed"))
    with pytest.raises(UnprocessableEvent, match="pricing_impossible"):
        await desk.convert(conversion(1, conversion_id=one, offer_id=offer_id))

    assert await query(worker_database, "SELECT 1 FROM commission_step WHERE conversion_id = $1", one) == []


async def test_the_offer_version_of_the_click_decides(worker_database: Database) -> None:
    desk, offer_id, old, new = Desk(worker_database), fresh_id(), uuid4(), uuid4()
    generous = offer_version(offer_id, 1)
    mean = offer_version(
        offer_id, 2, terms=[type(generous.terms[0])(event="sale", kind="percentage", rate_percent="1")]
    )
    await desk.publish(generous, mean)

    await desk.convert(conversion(1, conversion_id=old, offer_id=offer_id, offer_version=1, ordered=euros(10_000)))
    await desk.convert(conversion(1, conversion_id=new, offer_id=offer_id, offer_version=2, ordered=euros(10_000)))

    assert (await balances(worker_database, [old]))["affiliate_pending:3 EUR"] == -1000
    assert (await balances(worker_database, [new]))["affiliate_pending:3 EUR"] == -100


async def test_a_version_that_waited_and_can_never_be_applied_blames_nobody_else(worker_database: Database) -> None:
    """The offer version that releases it is learnt, the version before it is credited; it stays where it is seen."""
    desk, offer_id, one, two = Desk(worker_database), fresh_id(), uuid4(), uuid4()

    await desk.convert(conversion(1, conversion_id=one, offer_id=offer_id, event="never_agreed"))
    await desk.convert(conversion(2, conversion_id=two, offer_id=offer_id, event="never_agreed"))
    await desk.publish(offer_version(offer_id))
    await desk.convert(conversion(1, conversion_id=two, offer_id=offer_id, ordered=euros(10_000)))

    waiting = "SELECT conversion_id, version, reason FROM parked_event WHERE conversion_id = ANY ($1::uuid[])"
    assert set(await query(worker_database, waiting, [one, two])) == {(one, 1, "refused"), (two, 2, "refused")}
    assert (await balances(worker_database, [two]))["affiliate_pending:3 EUR"] == -1000


@pytest.mark.parametrize("changed", [{"affiliate_id": 4}, {"offer_version": 2}])
async def test_a_credit_never_moves_to_another_affiliate_or_offer_version(
    worker_database: Database, changed: dict[str, int]
) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id), offer_version(offer_id, 2))
    await desk.convert(conversion(1, conversion_id=one, offer_id=offer_id, ordered=euros(10_000)))

    with pytest.raises(UnprocessableEvent, match="attribution_changed"):
        await desk.convert(
            conversion(2, "approved", conversion_id=one, offer_id=offer_id, ordered=euros(10_000), **changed)  # type: ignore[arg-type]
        )

    assert (await balances(worker_database, [one]))["affiliate_pending:3 EUR"] == -1000


@pytest.mark.parametrize("known", ["applied", "waiting", "in_the_batch"])
async def test_another_event_under_a_known_version_is_no_repeat(worker_database: Database, known: str) -> None:
    desk, offer_id, one = Desk(worker_database), fresh_id(), uuid4()
    first = conversion(1, conversion_id=one, offer_id=offer_id, ordered=euros(10_000))
    other = msgspec.structs.replace(first, event_id=uuid4(), net_amount=euros(1))
    if known == "applied":
        await desk.publish(offer_version(offer_id))
    if known != "in_the_batch":
        await desk.convert(first)
    before = await balances(worker_database, [one])

    with pytest.raises(UnprocessableEvent, match="version_contradicted"):
        await desk.convert(*([first, other] if known == "in_the_batch" else [other]))

    assert await balances(worker_database, [one]) == before
    await desk.convert(first)
    await desk.publish(offer_version(offer_id))
    assert (await balances(worker_database, [one]))["affiliate_pending:3 EUR"] == -1000
