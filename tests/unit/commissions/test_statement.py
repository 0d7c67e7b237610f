"""A statement adds up, whatever was booked: its closing is its opening and its lines, and the next month's opening."""

from hypothesis import given
from hypothesis import strategies as st

from services.commissions.domain.ledger import AccountKind, TransactionKind
from services.commissions.domain.statement import (
    Movement,
    Party,
    Section,
    StandingSum,
    balances_of,
    sections_of,
)

Entry = tuple[int, str, str, int]
"""Month, account kind, transaction kind, amount: debit is positive."""

ENTRIES = st.lists(
    st.tuples(
        st.integers(1, 4),
        st.sampled_from([kind.value for kind in AccountKind]),
        st.sampled_from([kind.value for kind in TransactionKind]),
        st.integers(-(10**12), 10**12),
    ),
    max_size=60,
)
PARTIES = st.sampled_from([Party(affiliate_id=3), Party(merchant_id=3)])


def sections_in(month: int, party: Party, entries: list[Entry]) -> tuple[Section, ...]:
    """The party's sections for `month`: what came before opens it, what comes after is not in it."""
    return sections_of(
        party,
        [Movement(account, kind, when == month, amount) for when, account, kind, amount in entries if when <= month],
    )


@given(ENTRIES, PARTIES)
def test_closing_is_opening_and_every_line(entries: list[Entry], party: Party) -> None:
    for kind, section in zip(party.sections, sections_in(2, party, entries), strict=True):
        lines = [party.sign * amount for month, account, _, amount in entries if (month, account) == (2, kind)]

        assert section.closing_minor == section.opening_minor + sum(lines)
        assert sum(section.totals_minor.values()) == sum(lines)


@given(ENTRIES, PARTIES)
def test_the_next_month_opens_with_what_this_one_closes(entries: list[Entry], party: Party) -> None:
    for month in (1, 2, 3):
        closing = [section.closing_minor for section in sections_in(month, party, entries)]
        opening = [section.opening_minor for section in sections_in(month + 1, party, entries)]

        assert opening == closing


@given(ENTRIES, PARTIES, st.randoms(use_true_random=False))
def test_the_order_of_what_is_read_changes_nothing(entries: list[Entry], party: Party, random: object) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert sections_in(3, party, shuffled) == sections_in(3, party, entries)


@given(ENTRIES, PARTIES)
def test_the_last_closing_is_the_balance(entries: list[Entry], party: Party) -> None:
    closing = sum(section.closing_minor for section in sections_in(4, party, entries))
    sums = [StandingSum("EUR", account, month % 2 == 0, amount) for month, account, _, amount in entries]
    found = balances_of(party, sums)

    assert sum(sum(balance.amounts_minor.values()) for balance in found) == closing


def test_an_approval_moves_money_between_sections_and_adds_nothing() -> None:
    pending, payable = sections_of(
        Party(affiliate_id=3),
        [
            Movement("affiliate_pending", "accrual", in_period=False, amount_minor=-1000),
            Movement("affiliate_pending", "approval", in_period=True, amount_minor=1000),
            Movement("affiliate_payable", "approval", in_period=True, amount_minor=-1000),
        ],
    )

    assert (pending.opening_minor, pending.closing_minor) == (1000, 0)
    assert (payable.opening_minor, payable.closing_minor) == (0, 1000)


def test_what_is_not_due_yet_is_approved_and_a_debt_is_negative() -> None:
    (euros, yen) = balances_of(
        Party(affiliate_id=3),
        [
            StandingSum("JPY", "affiliate_payable", is_due=True, amount_minor=500),
            StandingSum("EUR", "affiliate_payable", is_due=False, amount_minor=-700),
            StandingSum("EUR", "affiliate_pending", is_due=True, amount_minor=-200),
        ],
    )

    assert dict(euros.amounts_minor) == {"pending": 200, "approved": 700, "payable": 0, "paid": 0}
    assert yen.amounts_minor["payable"] == -500


def test_a_merchant_owes_what_it_is_debited() -> None:
    (balance,) = balances_of(
        Party(merchant_id=7),
        [StandingSum("EUR", "merchant_receivable", is_due=True, amount_minor=1200)],
    )

    assert dict(balance.amounts_minor) == {"receivable": 1200, "prepaid": 0}
