"""The postings: balanced, exact, and at the end of any history worth what its last version says."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commissions.domain.commission import CommissionStatus, Standing, TransitionRefused
from services.commissions.domain.ledger import (
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    TransactionUnbalanced,
    affiliate_pending,
    merchant_receivable,
)
from services.commissions.domain.postings import Applied, CreditVersion, apply_version
from services.commissions.domain.terms import FlatTerm, PercentageTerm, PricingImpossible, Term
from shared.kernel.money import Money

CONVERSION = UUID(int=7)
AT = datetime(2026, 11, 24, 8, tzinfo=UTC)
TEN_AND_TWO = PercentageTerm(Decimal(10), Decimal(2))
FIVE_EUROS = FlatTerm(Money(500, "EUR"), Money(50, "EUR"))


def _version(
    number: int,
    status: str,
    *,
    net: int | None = 10_000,
    ordered: int | None = 10_000,
    term: Term | None = TEN_AND_TWO,
    currency: str = "EUR",
    hold_days: int = 0,
) -> CreditVersion:
    return CreditVersion(
        event_id=uuid5(CONVERSION, str(number)),
        commission_id=UUID(int=8),
        conversion_id=CONVERSION,
        version=number,
        status=status,
        affiliate_id=2,
        merchant_id=7,
        offer_id=1,
        offer_version=3,
        ordered=None if ordered is None else Money(ordered, currency),
        net=None if net is None else Money(net, currency),
        occurred_at=AT + timedelta(minutes=number),
        term=term,
        hold_days=hold_days,
    )


def _run(*versions: CreditVersion) -> tuple[Standing | None, list[LedgerTransaction]]:
    standing, transactions = None, []
    for version in versions:
        applied: Applied = apply_version(standing, version)
        standing = applied.standing
        transactions += [posted.transaction for posted in applied.posted]
    return standing, transactions


def _balances(transactions: list[LedgerTransaction]) -> dict[str, int]:
    sums: Counter[str] = Counter()
    for transaction in transactions:
        for entry in transaction.entries:
            sums[str(entry.account)] += entry.amount_minor
    return {account: amount for account, amount in sums.items() if amount}


def test_the_table_of_the_heart() -> None:
    accrual = _version(1, "pending")
    approval = _version(2, "approved")

    assert _balances(_run(accrual)[1]) == {
        "merchant_receivable:7": 1200, "affiliate_pending:2": -1000, "network_margin": -200,
    }  # fmt: skip
    assert _balances(_run(accrual, approval)[1]) == {
        "merchant_receivable:7": 1200, "affiliate_payable:2": -1000, "network_margin": -200,
    }  # fmt: skip
    assert _balances(_run(accrual, _version(2, "reversed", net=0))[1]) == {}
    assert _balances(_run(accrual, approval, _version(3, "reversed", net=0))[1]) == {}


def test_a_partial_refund_posts_the_difference_of_two_commissions() -> None:
    standing, transactions = _run(
        _version(1, "pending", net=999, ordered=999), _version(2, "pending", net=333, ordered=999)
    )

    assert standing is not None
    assert standing.commission == Money(33, "EUR")
    assert transactions[1].kind is TransactionKind.ADJUSTMENT
    assert transactions[1].reverses == transactions[0].transaction_id
    assert transactions[1].entries == (
        LedgerEntry(merchant_receivable(7), "EUR", 40 - 120),
        LedgerEntry(affiliate_pending(2), "EUR", 100 - 33),
        LedgerEntry(transactions[1].entries[2].account, "EUR", 20 - 7),
    )


def test_a_refund_after_approval_comes_out_of_what_is_payable() -> None:
    approval = _version(2, "approved", hold_days=30)
    _, transactions = _run(_version(1, "pending"), approval, _version(3, "approved", net=5_000, hold_days=30))

    payable = [entry for each in transactions for entry in each.entries if "payable" in str(entry.account)]
    assert [entry.amount_minor for entry in payable] == [-1000, 500]
    assert {entry.payable_at for entry in payable} == {approval.occurred_at + timedelta(days=30)}


def test_a_flat_amount_changes_only_when_everything_is_taken_back() -> None:
    first = _version(1, "pending", term=FIVE_EUROS, net=2_000, ordered=2_000)

    partly = _run(first, _version(2, "pending", term=FIVE_EUROS, net=1, ordered=2_000))
    wholly = _run(first, _version(2, "pending", term=FIVE_EUROS, net=0, ordered=2_000))

    assert len(partly[1]) == 1
    assert _balances(wholly[1]) == {}
    assert (
        _balances(_run(_version(1, "pending", term=FIVE_EUROS, net=None, ordered=None))[1])["affiliate_pending:2"]
        == -500
    )
    assert _balances(_run(_version(1, "pending", term=FIVE_EUROS, net=0, ordered=0))[1])["affiliate_pending:2"] == -500


def test_an_approval_without_a_pending_version_accrues_first() -> None:
    _, transactions = _run(_version(1, "approved"))

    assert [transaction.kind.value for transaction in transactions] == ["accrual", "approval"]


def test_what_is_worth_nothing_posts_nothing_but_has_its_state() -> None:
    standing, transactions = _run(_version(1, "pending", net=0, ordered=0), _version(2, "approved", net=0, ordered=0))

    assert transactions == []
    assert standing is not None
    assert standing.status is CommissionStatus.APPROVED


@pytest.mark.parametrize("status", ["waiting", "held", "unattributed", "rejected", "reversed"])
def test_nothing_is_credited_in_any_other_state(status: str) -> None:
    assert _run(_version(1, status)) == (None, [])


def test_a_reversed_commission_stays_reversed() -> None:
    with pytest.raises(TransitionRefused):
        _run(_version(1, "pending"), _version(2, "reversed", net=0), _version(3, "pending"))


@pytest.mark.parametrize(
    "version",
    [
        _version(1, "pending", net=None, ordered=None),
        _version(1, "pending", term=None),
        _version(1, "pending", term=FlatTerm(Money(1, "EUR"), Money(1, "USD"))),
    ],
)
def test_what_cannot_be_priced_is_refused(version: CreditVersion) -> None:
    with pytest.raises(PricingImpossible):
        _run(version)


@pytest.mark.parametrize(
    "entries",
    [
        (),
        (LedgerEntry(merchant_receivable(7), "EUR", 1),),
        (LedgerEntry(merchant_receivable(7), "EUR", 1), LedgerEntry(affiliate_pending(2), "EUR", -2)),
        (LedgerEntry(merchant_receivable(7), "EUR", 1), LedgerEntry(affiliate_pending(2), "USD", -1)),
        (LedgerEntry(merchant_receivable(7), "EUR", 0), LedgerEntry(affiliate_pending(2), "EUR", 0)),
    ],
)
def test_a_transaction_that_does_not_balance_cannot_be_built(entries: tuple[LedgerEntry, ...]) -> None:
    with pytest.raises(TransactionUnbalanced):
        LedgerTransaction(UUID(int=1), TransactionKind.ACCRUAL, AT, entries, UUID(int=2), UUID(int=3), 1, 1, 1)


rates = st.decimals(0, 60, places=4)
currencies = st.sampled_from(["EUR", "JPY", "KWD"])


@st.composite
def histories(draw: st.DrawFn) -> list[CreditVersion]:
    """Pending, then any chain of adjustments with an approval somewhere, perhaps a reversal at the end."""
    term: Term = draw(
        st.one_of(
            st.builds(PercentageTerm, rates, rates.map(lambda rate: rate / 2)),
            st.builds(FlatTerm, st.integers(0, 10**6).map(lambda n: Money(n, "USD")), st.just(Money(70, "USD"))),
        )
    )
    currency, ordered = draw(currencies), draw(st.integers(0, 10**9))
    nets = [ordered, *draw(st.lists(st.integers(0, ordered), max_size=10))]
    approved_from = draw(st.integers(0, len(nets)))
    versions = [
        _version(
            n + 1,
            "approved" if n >= approved_from else "pending",
            net=net,
            ordered=ordered,
            term=term,
            currency=currency,
            hold_days=7,
        )
        for n, net in enumerate(nets)
    ]
    if draw(st.booleans()):
        versions.append(
            _version(len(nets) + 1, "reversed", net=0, ordered=ordered, term=term, currency=currency, hold_days=7)
        )
    return versions


def _independently(term: Term | None, ordered: Money, net: Money) -> tuple[int, int]:
    """The price by another road: integers and decimal strings only."""
    if isinstance(term, FlatTerm):
        return (
            (0, 0)
            if ordered.amount_minor and not net.amount_minor
            else (term.amount.amount_minor, term.margin.amount_minor)
        )
    assert isinstance(term, PercentageTerm)
    exact = [net.amount_minor * rate / 100 for rate in (term.rate_percent, term.margin_percent)]
    commission, margin = (int(each.to_integral_value(rounding=ROUND_HALF_UP)) for each in exact)
    return commission, margin


@given(histories())
def test_any_history_ends_at_the_price_of_its_last_version(versions: list[CreditVersion]) -> None:
    standing, transactions = _run(*versions)

    last = versions[-1]
    assert last.ordered is not None
    assert last.net is not None
    commission, margin = (0, 0) if last.status == "reversed" else _independently(last.term, last.ordered, last.net)
    account = "affiliate_payable:2" if last.status == "approved" else "affiliate_pending:2"
    expected = {"merchant_receivable:7": commission + margin, account: -commission, "network_margin": -margin}
    assert _balances(transactions) == {name: amount for name, amount in expected.items() if amount}
    assert standing is not None
    assert (standing.commission.amount_minor, standing.margin.amount_minor) == (commission, margin)


@given(histories())
def test_every_transaction_balances_and_its_id_follows_from_its_event(versions: list[CreditVersion]) -> None:
    _, first = _run(*versions)
    _, second = _run(*versions)

    assert first == second
    assert len({transaction.transaction_id for transaction in first}) == len(first)
    for transaction in first:
        assert sum(entry.amount_minor for entry in transaction.entries) == 0
        assert all(type(entry.amount_minor) is int for entry in transaction.entries)
