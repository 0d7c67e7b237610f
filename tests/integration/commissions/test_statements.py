"""Statements over months: one ends where the next begins, and a closed month never changes."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from services.commissions.consumers.conversions import ConversionsHandler
from services.commissions.domain.statement import Party, Statement
from services.commissions.domain.statement_document import NETWORK, Particulars, StatementDocument
from services.commissions.storage.statement_store import list_statement_rows, stream_lines
from services.commissions.usecases.close_period import close_passed_periods
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.read_balance import read_balance
from services.commissions.usecases.read_ledger import read_trial_balance
from services.commissions.usecases.read_statement import BlockNotFound, StatementRequest, read_statement
from services.commissions.usecases.statement_forms.plain import statement_csv, statement_json
from shared.contracts.catalogue import MoneyV1, TermV1
from shared.kernel.errors import InvalidValue
from shared.kernel.money import AMOUNT_MINOR_MAX
from shared.kernel.period import Period, parse_period
from shared.runtime.database import Database, Session
from tests.factories.commissions import PERCENTAGE, conversion, euros, fresh_id, offer_version, received
from tests.factories.ledger import Desk, FixedClock

JANUARY, FEBRUARY, MARCH = (Period(2031, month) for month in (1, 2, 3))
YEN = TermV1(event="lead", kind="flat", flat_amount=MoneyV1(amount_minor=80, currency="JPY"))


class _Undo(Exception):
    """Rolls a test's transaction back: a chain that has seen the future would carry every later test there."""


@dataclass(slots=True)
class Months:
    """A ledger in a year to come, inside one transaction that is rolled back."""

    session: Session
    offer_id: int
    clock: FixedClock = field(default_factory=FixedClock)
    affiliate_id: int = field(default_factory=fresh_id)
    merchant_id: int = field(default_factory=fresh_id)

    @property
    def affiliate(self) -> Party:
        """Who earns."""
        return Party(affiliate_id=self.affiliate_id)

    async def book(self, at: datetime, version: int, one: UUID, net: int, status: str, event: str = "sale") -> None:
        """One version of a conversion arrives at `at`."""
        self.clock.instant = at
        changed = conversion(
            version,
            status,  # type: ignore[arg-type]
            conversion_id=one,
            offer_id=self.offer_id,
            affiliate_id=self.affiliate_id,
            merchant_id=self.merchant_id,
            ordered=euros(10_000),
            net=euros(net),
            event=event,
            occurred_at=datetime(2030, 12, 31, tzinfo=UTC),
        )
        await ConversionsHandler(OfferVersions(), self.clock)(self.session, [received(changed)])

    async def statement(self, period: Period, party: Party | None = None, block: int | None = None) -> Statement:
        """In EUR."""
        return await read_statement(self.session, StatementRequest(party or self.affiliate, period, "EUR", block))

    async def rendered(self, statement: Statement) -> tuple[bytes, bytes]:
        """As JSON and as CSV."""

        def lines() -> AsyncIterator:  # type: ignore[type-arg]
            return stream_lines(self.session, statement.party, currency="EUR", cut=statement.cut)

        draft = StatementDocument(statement, Particulars(NETWORK, NETWORK))
        return (
            b"".join([part async for part in statement_json(draft, lines())]),
            b"".join([part async for part in statement_csv(statement, lines())]),
        )


@asynccontextmanager
async def months(database: Database) -> AsyncIterator[Months]:
    """100.00 EUR sold in January, approved in February, 40.00 of it refunded in March."""
    offer_id = fresh_id()
    await Desk(database).publish(offer_version(offer_id, terms=(PERCENTAGE, YEN)))
    with contextlib.suppress(_Undo):
        async with database.transaction() as session:
            ledger, one = Months(session, offer_id), uuid4()
            await ledger.book(datetime(2031, 1, 31, 23, 59, 59, tzinfo=UTC), 1, one, 10_000, "pending")
            await ledger.book(datetime(2031, 2, 1, tzinfo=UTC), 2, one, 10_000, "approved")
            await ledger.book(datetime(2031, 3, 15, tzinfo=UTC), 3, one, 6_000, "approved")
            yield ledger
            raise _Undo


def sections(statement: Statement) -> list[tuple[str, int, int]]:
    return [(each.name, each.opening_minor, each.closing_minor) for each in statement.sections]


async def test_each_month_opens_with_what_the_one_before_closed_with(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        january, february, march = [await ledger.statement(each) for each in (JANUARY, FEBRUARY, MARCH)]
        owed = await ledger.statement(MARCH, Party(merchant_id=ledger.merchant_id))
        balances, block_number = await read_balance(ledger.session, ledger.affiliate, now=ledger.clock.now())

    assert sections(january) == [("pending", 0, 1000), ("payable", 0, 0)]
    assert sections(february) == [("pending", 1000, 0), ("payable", 0, 1000)]
    assert sections(march) == [("pending", 0, 0), ("payable", 1000, 600)]
    assert sections(owed) == [("receivable", 1200, 720), ("prepaid", 0, 0)]
    assert dict(balances[0].amounts_minor) == {"pending": 0, "approved": 0, "payable": 600, "paid": 0}
    assert march.cut.number == block_number


async def test_the_list_has_each_month_as_its_statement_has_it(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        await close_passed_periods(ledger.session, datetime(2031, 3, 20, tzinfo=UTC))
        rows = await list_statement_rows(ledger.session, ledger.affiliate, currency=None, before=None, limit=10)
        found = [await ledger.statement(row.period) for row in rows]

    assert [(str(row.period), row.is_final) for row in rows] == [
        ("2031-03", False),
        ("2031-02", True),
        ("2031-01", True),
    ]
    for row, statement in zip(rows, found, strict=True):
        assert (row.opening_minor, row.closing_minor) == (statement.opening_minor, statement.closing_minor)
        assert (row.block_number, row.is_final) == (statement.cut.number, statement.cut.is_final)


async def test_the_same_cut_renders_to_the_same_bytes_before_and_after_the_close(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        before = await ledger.rendered(open_yet := await ledger.statement(FEBRUARY))
        await close_passed_periods(ledger.session, datetime(2031, 3, 20, tzinfo=UTC))
        after = await ledger.rendered(final := await ledger.statement(FEBRUARY))

    assert (open_yet.cut.is_final, final.cut.is_final) == (False, True)
    assert before == after


async def test_a_closed_month_renders_to_the_same_bytes_whatever_is_booked_later(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        await close_passed_periods(ledger.session, datetime(2031, 3, 20, tzinfo=UTC))
        before = [await ledger.rendered(await ledger.statement(each)) for each in (JANUARY, FEBRUARY)]

        late = datetime(2031, 1, 10, tzinfo=UTC)  # a clock that runs behind
        await ledger.book(late, 1, uuid4(), 5_000, "pending")
        await ledger.book(late, 1, uuid4(), 5_000, "approved", event="lead")
        after = [await ledger.rendered(await ledger.statement(each)) for each in (JANUARY, FEBRUARY)]
        newest = await ledger.statement(MARCH)

    assert after == before
    assert newest.closing_minor == 600 + 500


async def test_an_older_cut_can_be_read_again_and_one_to_come_cannot(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        old = await ledger.statement(MARCH)
        rendered = await ledger.rendered(old)
        await ledger.book(datetime(2031, 3, 16, tzinfo=UTC), 1, uuid4(), 5_000, "pending")
        newest = await ledger.statement(MARCH)
        again = await ledger.statement(MARCH, block=old.cut.number)
        rendered_again = await ledger.rendered(again)
        earlier = await ledger.statement(MARCH, block=old.cut.number - 2)  # January's
        with pytest.raises(BlockNotFound):
            await ledger.statement(MARCH, block=newest.cut.number + 1)

    assert rendered_again == rendered
    assert (newest.closing_minor, again.closing_minor) == (1100, 600)
    assert (earlier.opening_minor, earlier.closing_minor) == (1000, 1000)


async def test_a_party_with_two_currencies_names_one(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        request = StatementRequest(ledger.affiliate, MARCH, None, None)
        only = await read_statement(ledger.session, request)
        await ledger.book(datetime(2031, 3, 16, tzinfo=UTC), 1, uuid4(), 5_000, "pending", event="lead")
        with pytest.raises(InvalidValue, match="currency"):
            await read_statement(ledger.session, request)

    assert only.currency == "EUR"


async def test_a_month_without_bookings_carries_the_balance_on(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        quiet = await ledger.statement(parse_period("2031-07"))
        before_everything = await ledger.statement(parse_period("2001-01"))

    assert sections(quiet) == [("pending", 0, 0), ("payable", 600, 600)]
    assert (before_everything.cut.number, before_everything.closing_minor) == (0, 0)


async def test_sums_outgrow_64_bits_and_stay_exact(worker_database: Database) -> None:
    offer_id, party, count = fresh_id(), Party(merchant_id=fresh_id()), 5_000
    everything = TermV1(event="sale", kind="percentage", rate_percent="100", margin_percent="100")
    await Desk(worker_database).publish(offer_version(offer_id, terms=(everything,)))
    with contextlib.suppress(_Undo):
        async with worker_database.transaction() as session:
            before = await _debit_of_receivables(session)
            events = [
                conversion(
                    conversion_id=uuid4(),
                    offer_id=offer_id,
                    merchant_id=party.merchant_id or 0,
                    ordered=euros(AMOUNT_MINOR_MAX),
                )
                for _ in range(count)
            ]
            clock = FixedClock(datetime(2031, 1, 31, tzinfo=UTC))
            await ConversionsHandler(OfferVersions(), clock)(session, [received(each) for each in events])
            statement = await read_statement(session, StatementRequest(party, JANUARY, "EUR", None))
            (listed,) = await list_statement_rows(session, party, currency="EUR", before=None, limit=10)
            balances, _ = await read_balance(session, party, now=clock.now())
            booked = await _debit_of_receivables(session) - before
            raise _Undo

    owed = 2 * AMOUNT_MINOR_MAX * count
    assert owed > 2**63
    assert (statement.closing_minor, listed.closing_minor, booked) == (owed, owed, owed)
    assert dict(balances[0].amounts_minor) == {"receivable": owed, "prepaid": 0}


async def _debit_of_receivables(session: Session) -> int:
    trial = await read_trial_balance(session, block_number=None)
    return sum(each.debit_minor for each in trial.sums if each.account_kind == "merchant_receivable")
