"""A group's override pays whoever was in the group at the click, whatever is known or changed later."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import msgspec

from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.recompute_ledger import recompute_ledger
from services.commissions.usecases.verify_ledger import verify_ledger
from shared.contracts.catalogue import AffiliateChangedV1, IntervalV1, OverrideV1, RateV1, TermV1
from shared.contracts.conversions import ConversionChangedV1
from shared.runtime.database import Database
from tests.factories.commissions import START, conversion, euros, fresh_id, offer_version
from tests.factories.ledger import Desk, query

GOLD = TermV1(
    event="sale",
    kind="percentage",
    rate_percent="10",
    margin_percent="2",
    overrides=[
        OverrideV1(group="gold", pays=RateV1(rate_percent="15")),
        OverrideV1(group="silver", pays=RateV1(rate_percent="12")),
    ],
)


def _hours(hours: int) -> datetime:
    return START + timedelta(hours=hours)


def _membership(affiliate_id: int, **groups: tuple[int, int | None]) -> AffiliateChangedV1:
    return AffiliateChangedV1(
        event_id=uuid4(),
        occurred_at=START,
        affiliate_id=affiliate_id,
        name="Affiliate",
        status="active",
        groups={
            name: [IntervalV1(start_at=_hours(start), end_at=None if end is None else _hours(end))]
            for name, (start, end) in groups.items()
        },
    )


def _sale(version: int = 1, status: Any = "pending", *, clicked: int | None, **fields: Any) -> ConversionChangedV1:
    made = conversion(version, status, ordered=euros(10_000), **fields)
    return msgspec.structs.replace(made, clicked_at=None if clicked is None else _hours(clicked))


async def _credited(database: Database, conversion_id: UUID) -> tuple[object, object]:
    (row,) = await query(
        database,
        "SELECT commission_minor, (SELECT decisions ->> 'groups' FROM commission_step s"
        " WHERE s.conversion_id = c.conversion_id ORDER BY version DESC LIMIT 1)"
        " FROM commission c WHERE conversion_id = $1",
        conversion_id,
    )
    return row[0], row[1]


async def test_membership_at_the_click_decides(worker_database: Database) -> None:
    desk, offer_id, affiliate_id = Desk(worker_database), fresh_id(), fresh_id()
    await desk.publish(offer_version(offer_id, terms=[GOLD]))
    await desk.publish(_membership(affiliate_id, gold=(10, 20), silver=(15, None)))
    expected = {9: 1_000, 10: 1_500, 15: 1_500, 19: 1_500, 20: 1_200, 30: 1_200}

    sales = {hour: uuid4() for hour in expected}
    for hour, conversion_id in sales.items():
        await desk.convert(
            _sale(clicked=hour, conversion_id=conversion_id, offer_id=offer_id, affiliate_id=affiliate_id)
        )
    found = {hour: (await _credited(worker_database, each))[0] for hour, each in sales.items()}

    assert found == expected


async def test_what_was_decided_first_holds_for_all_that_follows(worker_database: Database) -> None:
    desk, offer_id, member, stranger = Desk(worker_database), fresh_id(), fresh_id(), fresh_id()
    await desk.publish(offer_version(offer_id, terms=[GOLD]))
    await desk.publish(_membership(member, gold=(0, None)))
    of_member, of_stranger = uuid4(), uuid4()
    for conversion_id, affiliate_id in ((of_member, member), (of_stranger, stranger)):
        await desk.convert(_sale(clicked=1, conversion_id=conversion_id, offer_id=offer_id, affiliate_id=affiliate_id))

    # Word of the stranger's membership comes too late, and the member's is said to have ended before the click.
    await desk.publish(_membership(stranger, gold=(0, None)))
    await desk.publish(_membership(member, gold=(0, 0)))
    for conversion_id, affiliate_id in ((of_member, member), (of_stranger, stranger)):
        await desk.convert(
            _sale(
                2,
                clicked=1,
                conversion_id=conversion_id,
                offer_id=offer_id,
                affiliate_id=affiliate_id,
                net=euros(5_000),
                change="adjusted",
            )
        )

    assert await _credited(worker_database, of_member) == (750, '["gold"]')
    assert await _credited(worker_database, of_stranger) == (500, None)
    async with worker_database.transaction() as session:
        await verify_ledger(session)
        await recompute_ledger(session, OfferVersions())


async def test_versions_of_one_batch_are_decided_alike_and_without_a_click_by_the_receipt(
    worker_database: Database,
) -> None:
    desk, offer_id, affiliate_id, conversion_id = Desk(worker_database), fresh_id(), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id, terms=[GOLD]))
    await desk.publish(_membership(affiliate_id, gold=(-1, 1)))
    common: dict[str, Any] = {"conversion_id": conversion_id, "offer_id": offer_id, "affiliate_id": affiliate_id}

    await desk.convert(_sale(clicked=None, **common), _sale(2, "approved", clicked=None, change="approved", **common))

    assert await _credited(worker_database, conversion_id) == (1_500, '["gold"]')
