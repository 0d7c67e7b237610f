"""T18: the rate of a conversion's first credit is frozen on all that follows; without one nothing is posted."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest

from services.commissions.domain.exchange_rates import ExchangeRate
from services.commissions.domain.statement import Party
from services.commissions.storage.rate_decision_store import AwaitedRate, find_awaited
from services.commissions.storage.statement_store import find_cut, stream_lines
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.find_waiting_rates import WaitingForRates, find_waiting_for_rates
from services.commissions.usecases.recompute_ledger import recompute_ledger
from services.commissions.usecases.record_rates import record_rates
from services.commissions.usecases.release_commissions import Released, StillHeld, release_commission
from services.commissions.usecases.verify_ledger import verify_ledger
from shared.contracts.catalogue import CapV1, MoneyV1
from shared.contracts.commissions import RateUsedV1
from shared.contracts.conversions import ConversionChangedV1
from shared.kernel.period import period_of
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import FLAT, conversion, euros, fresh_id, offer_version
from tests.factories.exchange_rates import fresh_day
from tests.factories.ledger import Desk, FixedClock, balances, ledger_sha256, query, transactions_of

NOW = datetime(2026, 11, 24, 8, tzinfo=UTC)


def money(amount_minor: int, currency: str = "USD") -> MoneyV1:
    return MoneyV1(amount_minor=amount_minor, currency=currency)


def at(day: date, days: int = 0, hour: int = 12) -> datetime:
    return datetime.combine(day + timedelta(days=days), time(hour), UTC)


@pytest.fixture(scope="module")
async def staff(postgres: TestPostgres) -> AsyncIterator[Database]:
    database = Database(postgres.migrate("commissions"), role="commissions_staff", name="frozen-staff")
    yield database
    await database.close()


async def quote(staff: Database, day: date, text: str, currency: str = "USD", *, reason: str | None = None) -> None:
    """One euro is worth `text` from `day` on."""
    rates = [ExchangeRate("EUR", currency, Decimal(text), "ecb", day)]
    async with staff.transaction() as session:
        await record_rates(session, rates, actor="key:test", now=NOW, reason_code=reason)


async def decisions(database: Database, conversion_id: UUID) -> list[dict[str, Any]]:
    rows = await query(
        database,
        "SELECT decisions::text FROM commission_step WHERE conversion_id = $1 ORDER BY version, n",
        conversion_id,
    )
    return [msgspec.json.decode(str(text)) for (text,) in rows]


async def status(database: Database, conversion_id: UUID) -> tuple[object, ...]:
    (row,) = await query(
        database,
        "SELECT status, currency, commission_minor, margin_minor FROM commission WHERE conversion_id = $1",
        conversion_id,
    )
    return row


async def release(staff: Database, conversion_id: UUID) -> Released:
    (row,) = await query(staff, "SELECT commission_id FROM commission WHERE conversion_id = $1", conversion_id)
    async with staff.transaction() as session:
        return await release_commission(
            session,
            UUID(str(row[0])),
            offer_versions=OfferVersions(),
            actor="key:test",
            reason_code="rate_recorded",
            now=NOW,
        )


async def prove(database: Database) -> None:
    async with database.transaction() as session:
        await verify_ledger(session)
        await recompute_ledger(session, OfferVersions())


async def statement_rates(database: Database, affiliate_id: int) -> list[RateUsedV1 | None]:
    """Of each line of the affiliate's statement in EUR."""
    async with database.transaction() as session:
        cut = await find_cut(session, period_of(NOW), block_number=None)
        assert cut is not None
        party = Party(affiliate_id=affiliate_id)
        return [line.rate async for line in stream_lines(session, party, currency="EUR", cut=cut)]


async def waiting_for_rates(database: Database) -> WaitingForRates:
    async with database.transaction() as session:
        return await find_waiting_for_rates(session, days_max=7)


def history(conversion_id: UUID, offer_id: int, day: date, affiliate_id: int) -> list[ConversionChangedV1]:
    """An order of 100.00 USD; half of it taken back three days later; approved; at last reversed."""
    common: dict[str, Any] = {
        "conversion_id": conversion_id, "offer_id": offer_id, "affiliate_id": affiliate_id, "ordered": money(10_000)
    }  # fmt: skip
    return [
        conversion(1, occurred_at=at(day), **common),
        conversion(2, occurred_at=at(day, 3), net=money(5_001), change="adjusted", **common),
        conversion(3, "approved", occurred_at=at(day, 4), net=money(5_001), change="approved", **common),
        conversion(4, "reversed", occurred_at=at(day, 5), net=money(0), change="reversed", **common),
    ]


async def test_t18_a_rate_that_changes_between_conversion_and_approval_changes_nothing(
    worker_database: Database, staff: Database
) -> None:
    desk, day, offer_id, affiliate_id, conversion_id = (
        Desk(worker_database), fresh_day(), fresh_id(), fresh_id(), uuid4()
    )  # fmt: skip
    await desk.publish(offer_version(offer_id, pays_in="EUR"))
    await quote(staff, day, "1.25")
    recorded, adjusted, approved, taken_back = history(conversion_id, offer_id, day, affiliate_id)

    await desk.convert(recorded)
    accrued = await balances(worker_database, [conversion_id])
    await quote(staff, day + timedelta(days=1), "2")
    await quote(staff, day, "1.6", reason="published_wrong")
    await desk.convert(adjusted)
    await desk.convert(approved)
    payable = await balances(worker_database, [conversion_id])
    await desk.convert(taken_back)

    assert accrued == {
        "merchant_receivable:7 EUR": 960, f"affiliate_pending:{affiliate_id} EUR": -800, "network_margin EUR": -160
    }  # fmt: skip
    assert payable == {  # 50.01 USD: 5.001 × 0.8 = 4.0008, 1.0002 × 0.8 = 0.80016
        "merchant_receivable:7 EUR": 480, f"affiliate_payable:{affiliate_id} EUR": -400, "network_margin EUR": -80
    }  # fmt: skip
    assert await balances(worker_database, [conversion_id]) == {}
    frozen = {"base": "USD", "quote": "EUR", "rate": "0.8", "source": "ecb", "as_of": day.isoformat()}
    assert await decisions(worker_database, conversion_id) == [{"rate": frozen}] * 4
    said = await query(
        worker_database,
        "SELECT convert_from(payload, 'UTF8') FROM outbox WHERE topic = 'commissions.v1' AND key = $1",
        str(affiliate_id).encode(),
    )
    assert [msgspec.json.decode(str(text))["decisions"]["rate"] for (text,) in said] == [frozen] * 4
    rates = await statement_rates(staff, affiliate_id)
    assert rates == [RateUsedV1(base="USD", quote="EUR", rate="0.8", source="ecb", as_of=day.isoformat())] * 4
    await prove(worker_database)


async def test_one_batch_and_a_replay_come_to_the_same(worker_database: Database, staff: Database) -> None:
    desk, day, offer_id, ids = Desk(worker_database), fresh_day(), fresh_id(), [uuid4(), uuid4()]
    await desk.publish(offer_version(offer_id, pays_in="EUR"))
    await quote(staff, day, "1.25")
    await quote(staff, day + timedelta(days=1), "2")
    one, other = (history(each, offer_id, day, fresh_id()) for each in ids)

    await desk.convert(*one)
    for event in other:
        await desk.convert(event)
    await quote(staff, day + timedelta(days=2), "3")
    before = await ledger_sha256(worker_database)
    await desk.convert(*one, *other)

    assert await ledger_sha256(worker_database) == before
    assert await decisions(worker_database, ids[0]) == await decisions(worker_database, ids[1])
    posted = [
        await query(
            worker_database,
            "SELECT t.kind, e.n, e.currency, e.amount_minor, e.payable_at FROM ledger_transaction AS t"
            " JOIN ledger_entry AS e USING (transaction_id) WHERE conversion_id = $1 ORDER BY 1, 2",
            each,
        )
        for each in ids
    ]
    assert posted[0] == posted[1]
    assert posted[0]


async def test_a_missing_rate_holds_the_commission_and_posts_nothing_until_finance_releases_it(
    worker_database: Database, staff: Database
) -> None:
    desk, day, offer_id, affiliate_id, conversion_id = (
        Desk(worker_database), fresh_day(), fresh_id(), fresh_id(), uuid4()
    )  # fmt: skip
    await desk.publish(offer_version(offer_id, pays_in="EUR", hold_days=30))
    recorded, adjusted, approved, taken_back = history(conversion_id, offer_id, day, affiliate_id)

    await desk.convert(recorded, adjusted)
    await desk.convert(approved)
    assert await status(worker_database, conversion_id) == ("held", "EUR", 0, 0)
    assert await transactions_of(worker_database, [conversion_id]) == set()
    awaits = {"base": "USD", "quote": "EUR", "on": day.isoformat()}
    assert await decisions(worker_database, conversion_id) == [{"held": "rate_missing", "awaits": awaits}] * 3
    async with staff.transaction() as session:
        waiting = [each for each in await find_awaited(session, limit=1_000) if each.on == day]
    assert [(each.base, each.quote) for each in waiting] == [("USD", "EUR")]
    with pytest.raises(StillHeld):
        await release(staff, conversion_id)
    await quote(staff, day + timedelta(days=1), "2")  # of a later day: not what it waits for
    with pytest.raises(StillHeld):
        await release(staff, conversion_id)

    before = await waiting_for_rates(staff)
    await quote(staff, day, "1.25")
    now = await waiting_for_rates(staff)
    assert (now.releasable, now.still_held.get("USD/EUR", 0)) == (
        before.releasable + 1, before.still_held["USD/EUR"] - 1
    )  # fmt: skip
    assert await status(worker_database, conversion_id) == ("held", "EUR", 0, 0)
    released = await release(staff, conversion_id)

    assert released.after.payable_at == at(day, 4) + timedelta(days=30)
    assert await status(worker_database, conversion_id) == ("approved", "EUR", 400, 80)
    assert await balances(worker_database, [conversion_id]) == {
        "merchant_receivable:7 EUR": 480, f"affiliate_payable:{affiliate_id} EUR": -400, "network_margin EUR": -80
    }  # fmt: skip
    await desk.convert(taken_back)
    assert await balances(worker_database, [conversion_id]) == {}
    rates = [each.get("rate") for each in await decisions(worker_database, conversion_id)]
    frozen = {"base": "USD", "quote": "EUR", "rate": "0.8", "source": "ecb", "as_of": day.isoformat()}
    assert rates == [None, None, None, frozen, frozen]
    await prove(worker_database)


async def test_what_is_held_and_reversed_earns_nothing_and_waits_no_more(worker_database: Database) -> None:
    desk, day, offer_id, conversion_id = Desk(worker_database), fresh_day(), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id, pays_in="EUR"))
    recorded, adjusted, approved, taken_back = history(conversion_id, offer_id, day, fresh_id())

    for event in (recorded, adjusted, approved, taken_back):
        await desk.convert(event)

    assert await status(worker_database, conversion_id) == ("reversed", "EUR", 0, 0)
    assert await transactions_of(worker_database, [conversion_id]) == set()
    async with worker_database.transaction() as session:
        assert AwaitedRate not in {type(each) for each in await find_awaited(session, limit=1_000) if each.on == day}


@pytest.mark.parametrize(
    ("pays_in", "ordered", "expected"),
    [
        ("EUR", money(10_000, "EUR"), {}),
        ("EUR", money(10_000, "JPY"), {"base": "JPY", "rate": "0.00625"}),
        ("JPY", money(10_000, "EUR"), {"base": "EUR", "rate": "160"}),
        ("USD", money(10_000, "JPY"), {"base": "JPY", "rate": "0.0078125"}),
    ],
)
async def test_only_what_is_in_another_currency_is_converted(
    worker_database: Database, staff: Database, pays_in: str, ordered: MoneyV1, expected: dict[str, str]
) -> None:
    desk, day, offer_id, conversion_id = Desk(worker_database), fresh_day(), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id, pays_in=pays_in))
    await quote(staff, day, "1.25")
    await quote(staff, day, "160", "JPY")

    await desk.convert(conversion(conversion_id=conversion_id, offer_id=offer_id, ordered=ordered, occurred_at=at(day)))

    (decided,) = await decisions(worker_database, conversion_id)
    assert {name: value for name, value in decided.get("rate", {}).items() if name in expected} == expected
    amounts = {"EUR": 1_000 if ordered.currency == "EUR" else 625, "JPY": 1_600, "USD": 781}
    assert (await status(worker_database, conversion_id))[:3] == ("accrued", pays_in, amounts[pays_in])


async def test_a_fixed_amount_is_converted_from_its_own_currency(worker_database: Database, staff: Database) -> None:
    desk, day, offer_id, conversion_id = Desk(worker_database), fresh_day(), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id, terms=[FLAT], pays_in="USD"))
    await quote(staff, day, "1.25")

    await desk.convert(conversion(conversion_id=conversion_id, offer_id=offer_id, event="lead", occurred_at=at(day)))

    assert await status(worker_database, conversion_id) == ("accrued", "USD", 625, 63)


async def test_a_held_commission_reserves_under_its_cap_only_once_it_is_released(
    worker_database: Database, staff: Database
) -> None:
    desk, day, offer_id, ids = Desk(worker_database), fresh_day(), fresh_id(), [uuid4(), uuid4()]
    cap = CapV1(name="budget", scope="offer", period="total", amount=euros(1_000))
    await desk.publish(offer_version(offer_id, pays_in="EUR", caps=[cap]))

    for each in ids:
        await desk.convert(
            conversion(conversion_id=each, offer_id=offer_id, ordered=money(10_000), occurred_at=at(day))
        )
    await quote(staff, day, "1.25")
    first, second = [await release(staff, each) for each in ids]

    assert (first.after.status, second.after.status) == ("accrued", "over_cap")
    await prove(worker_database)


async def test_an_offer_that_pays_in_the_orders_currency_asks_no_rate(
    worker_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The hot path: a batch with no offer that pays in a currency of its own asks the database nothing more."""
    asked: list[object] = []

    async def ask(*_: object, **__: object) -> None:
        asked.append(_)

    monkeypatch.setattr("services.commissions.usecases.freeze_rate.find_rate_decisions", ask)
    monkeypatch.setattr("services.commissions.usecases.freeze_rate.load_rates", ask)
    desk, offer_id, conversion_id = Desk(worker_database), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id))

    await desk.convert(conversion(conversion_id=conversion_id, offer_id=offer_id, ordered=money(10_000)))

    assert asked == []
    assert await status(worker_database, conversion_id) == ("accrued", "USD", 1_000, 200)


def test_the_frozen_rate_is_the_contracts() -> None:
    used = ExchangeRate("USD", "EUR", Decimal("0.80"), "ecb", date(2026, 11, 23)).used

    assert used == RateUsedV1(base="USD", quote="EUR", rate="0.8", source="ecb", as_of="2026-11-23")
    assert FixedClock().now() == NOW
