"""A closed month is settled once: tiers are trued up, second levels are paid, and a later refund is made good."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from deploy.local.provision import ServiceDatabase, provision
from services.commissions.storage.goal_store import BonusGoal, end_goal, insert_goal, list_goals
from services.commissions.usecases.close_period import close_passed_periods
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.recompute_ledger import recompute_acts, recompute_ledger
from services.commissions.usecases.settle_month import settle_month
from services.commissions.usecases.verify_ledger import verify_ledger
from shared.contracts.catalogue import AffiliateChangedV1, MoneyV1, RateV1, ReferralV1, TermV1, TiersV1, TierV1
from shared.kernel.period import Period
from shared.runtime.database import Database
from shared.runtime.migrations import upgrade
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.ledger import Desk, FixedClock, query

NOVEMBER = datetime(2026, 11, 10, 12, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 2, tzinfo=UTC)
JANUARY = datetime(2027, 1, 2, tzinfo=UTC)


def tiers(mode: str) -> TiersV1:
    """5 %, from the second conversion on 10 %."""
    rates = [RateV1(rate_percent="5"), RateV1(rate_percent="10")]
    return TiersV1(
        measure="conversions",
        mode=mode,  # type: ignore[arg-type]
        tiers=[TierV1(pays=rates[0], from_count=0), TierV1(pays=rates[1], from_count=2)],
    )


def term(mode: str = "step", **more: object) -> TermV1:
    given = {"rate_percent": "5", "margin_percent": "1", "tiers": tiers(mode), **more}
    return TermV1(event="sale", kind="percentage", **given)  # type: ignore[arg-type]


@dataclass(slots=True)
class Books:
    """A ledger of one's own: closing a month is for good."""

    database: Database
    staff: Database
    desk: Desk

    async def sell(self, offer_id: int, affiliate_id: int, *, ordered: int = 10_000) -> UUID:
        one = uuid4()
        await self.desk.convert(
            conversion(
                conversion_id=one,
                offer_id=offer_id,
                affiliate_id=affiliate_id,
                ordered=euros(ordered),
                occurred_at=NOVEMBER + timedelta(seconds=fresh_id()),
            )
        )
        return one

    async def refund(self, one: UUID, offer_id: int, affiliate_id: int, at: datetime) -> None:
        await self.desk.convert(
            conversion(
                2,
                "reversed",
                conversion_id=one,
                offer_id=offer_id,
                affiliate_id=affiliate_id,
                ordered=euros(10_000),
                net=MoneyV1(amount_minor=0, currency="EUR"),
                change="reversed",
                occurred_at=at,
            )
        )

    async def close(self, now: datetime) -> int:
        """Close what has passed and settle it; gives how many months were settled."""
        self.desk.clock.instant = now
        async with self.database.transaction() as session:
            await close_passed_periods(session, now)
        settled = 0
        for _ in range(12):
            async with self.database.transaction() as session:
                settled += await settle_month(session, FixedClock(now))
        return settled

    async def of(self, kind: str, affiliate_id: int) -> list[int]:
        """What acts of this kind moved for the affiliate, in its view, in order."""
        rows = await query(
            self.database,
            "SELECT -e.amount_minor FROM ledger_entry AS e JOIN ledger_transaction AS t USING (transaction_id)"
            " JOIN block USING (posting_id) WHERE t.kind = $1 AND e.affiliate_id = $2 ORDER BY block.number, e.n",
            kind,
            affiliate_id,
        )
        return [int(str(amount)) for (amount,) in rows]

    async def prove(self) -> None:
        async with self.database.transaction() as session:
            await verify_ledger(session)
            await recompute_ledger(session, OfferVersions())
            await recompute_acts(session)


@pytest_asyncio.fixture(loop_scope="session")
async def books(postgres: TestPostgres) -> AsyncIterator[Books]:
    postgres.migrate("commissions")
    name = ServiceDatabase("commissions", f"tributary_commissions_m{uuid4().hex[:8]}", "tributary_commissions")
    await asyncio.to_thread(provision, postgres.admin_url(), [name])
    url = postgres.running.server.url(login=name.login, database=name.database)
    await asyncio.to_thread(upgrade, url, "commissions")
    database = Database(url, role="commissions_worker", pool_size=2)
    staff = Database(url, role="commissions_staff", pool_size=1)
    yield Books(database, staff, Desk(database, FixedClock(NOVEMBER)))
    await staff.close()
    await database.close()


@pytest.mark.parametrize(("mode", "added"), [("step", 3 * 500), ("marginal", 500)])
async def test_the_tier_that_a_month_reached_is_paid_by_one_posting(books: Books, mode: str, added: int) -> None:
    offer_id, affiliate_id, other = fresh_id(), fresh_id(), fresh_id()
    await books.desk.publish(offer_version(offer_id, terms=[term(mode)]))
    for _ in range(3):
        await books.sell(offer_id, affiliate_id)
    await books.sell(offer_id, other)

    assert await books.close(DECEMBER) == 1
    assert await books.close(DECEMBER) == 0

    assert await books.of("accrual", affiliate_id) == [500, 500, 500]
    assert await books.of("true_up", affiliate_id) == [added]
    assert await books.of("true_up", other) == []
    await books.prove()


async def test_a_refund_after_the_month_takes_its_part_of_the_true_up_back(books: Books) -> None:
    offer_id, affiliate_id = fresh_id(), fresh_id()
    await books.desk.publish(offer_version(offer_id, terms=[term()]))
    sold = [await books.sell(offer_id, affiliate_id) for _ in range(2)]
    await books.close(DECEMBER)
    assert await books.of("true_up", affiliate_id) == [1_000]

    await books.refund(sold[0], offer_id, affiliate_id, DECEMBER)
    await books.close(JANUARY)

    # One conversion is left, which reaches no second tier: its 5.00 stand, and nothing beside them.
    assert await books.of("reversal", affiliate_id) == [-500]
    assert await books.of("true_up", affiliate_id) == [1_000, -1_000]
    await books.prove()


async def test_a_conversion_of_the_month_that_is_applied_late_counts_at_the_next_close(books: Books) -> None:
    offer_id, affiliate_id = fresh_id(), fresh_id()
    await books.desk.publish(offer_version(offer_id, terms=[term()]))
    await books.sell(offer_id, affiliate_id)
    await books.close(DECEMBER)
    assert await books.of("true_up", affiliate_id) == []

    await books.sell(offer_id, affiliate_id)  # recorded in November, applied in December
    await books.close(JANUARY)

    assert await books.of("true_up", affiliate_id) == [1_000]
    await books.prove()


async def test_the_second_level_earns_its_share_charged_to_the_merchant(books: Books) -> None:
    offer_id, affiliate_id, referrer = fresh_id(), fresh_id(), fresh_id()
    shared = TermV1(
        event="sale",
        kind="percentage",
        rate_percent="10",
        margin_percent="2",
        referral=ReferralV1(rate_percent="25", of="commission"),
    )
    referred = AffiliateChangedV1(
        event_id=uuid4(),
        occurred_at=NOVEMBER,
        affiliate_id=affiliate_id,
        name="Trail Notes",
        status="active",
        referred_by=referrer,
    )
    await books.desk.publish(offer_version(offer_id, terms=[shared]), referred)
    sold = await books.sell(offer_id, affiliate_id)
    await books.sell(offer_id, fresh_id())

    await books.close(DECEMBER)
    assert await books.of("referral", referrer) == [250]
    charged = await query(
        books.database,
        "SELECT amount_minor, account FROM ledger_entry JOIN ledger_transaction USING (transaction_id)"
        " WHERE kind = 'referral' AND merchant_id IS NOT NULL",
    )
    assert charged == [(250, "merchant_receivable:7")]

    await books.refund(sold, offer_id, affiliate_id, DECEMBER)
    await books.close(JANUARY)
    assert await books.of("referral", referrer) == [250, -250]
    await books.prove()


async def test_two_workers_settle_a_month_once(books: Books) -> None:
    offer_id, affiliate_id = fresh_id(), fresh_id()
    await books.desk.publish(offer_version(offer_id, terms=[term()]))
    for _ in range(2):
        await books.sell(offer_id, affiliate_id)
    async with books.database.transaction() as session:
        await close_passed_periods(session, DECEMBER)

    async def settle() -> int:
        async with books.database.transaction() as session:
            return await settle_month(session, FixedClock(DECEMBER))

    assert sorted(await asyncio.gather(settle(), settle())) == [0, 1]
    assert await books.of("true_up", affiliate_id) == [1_000]


async def test_a_goal_that_is_reached_pays_its_bonus_once_a_month(books: Books) -> None:
    offer_id, affiliate_id, other = fresh_id(), fresh_id(), fresh_id()
    await books.desk.publish(offer_version(offer_id, terms=[term()]))
    goal = BonusGoal(
        goal_id=uuid4(),
        offer_id=offer_id,
        merchant_id=7,
        affiliate_id=None,
        conversions=2,
        revenue_minor=None,
        amount_minor=2_500,
        currency="EUR",
        paid_by="network",
        reason_code="two_sales",
        first_period="2026-11",
        last_period=None,
        recorded_at=NOVEMBER,
        actor="key:test",
    )
    async with books.staff.transaction() as session:
        assert await insert_goal(session, goal)
        by_revenue = replace(goal, goal_id=uuid4(), conversions=None, revenue_minor=10_001, paid_by="merchant")
        assert await insert_goal(session, by_revenue)
    for _ in range(2):
        await books.sell(offer_id, affiliate_id)
    await books.sell(offer_id, other)

    for now in (DECEMBER, DECEMBER, JANUARY):
        await books.close(now)

    assert await books.of("bonus", affiliate_id) == [2_500, 2_500]
    assert await books.of("bonus", other) == []
    async with books.staff.transaction() as session:
        assert await end_goal(session, goal.goal_id, last_period=Period(2026, 11)) is not None
        assert [each.last_period for each in await list_goals(session) if each.goal_id == goal.goal_id] == ["2026-11"]
    await books.prove()
