"""Who a payout run pays, what a line may become, and what its acts post. Pure."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commissions.domain.acts.finance_act import ActImpossible, FinanceAct
from services.commissions.domain.acts.registry import transactions_of
from services.commissions.domain.payout_batch import end_to_end_id_of
from services.commissions.domain.payout_run import (
    LINE_TRANSITIONS,
    RUN_TRANSITIONS,
    LineState,
    Payee,
    PayoutLine,
    RunState,
    RunTerms,
    RunTransitionRefused,
    checked_again,
    due_before,
    line_id_of,
    reason_against,
    require_line_transition,
    require_run_transition,
)
from services.commissions.domain.payout_settings import Frequency, Method, is_pay_day_due, last_pay_day
from tests.factories.payouts import settings_version

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
TERMS = RunTerms("EUR", Method.BANK, date(2026, 11, 24))
AMOUNTS = st.integers(-(10**9), 10**9)
DAYS = st.dates(date(2020, 1, 1), date(2035, 12, 31))


def payee(**changes: Any) -> Payee:
    values: dict[str, Any] = {
        "affiliate_id": 4,
        "settings": settings_version(affiliate_id=4),
        "due_minor": 10_000,
        "balance_minor": 10_000,
        "is_active": True,
        "is_stopped": False,
        "is_past_cure": False,
        "is_in_other_run": False,
        "paid_on": None,
    }
    return Payee(**{**values, **changes})


def line(amount_minor: int) -> PayoutLine:
    run_id = uuid4()
    return PayoutLine(run_id, 4, line_id_of(run_id, 4), LineState.DRAFT, None, amount_minor, amount_minor)


@given(due=AMOUNTS, balance=AMOUNTS, drafted=st.integers(1, 10**9), threshold=st.integers(0, 10**9))
def test_a_line_never_pays_more_than_is_due_than_there_is_or_than_was_drafted(
    due: int, balance: int, drafted: int, threshold: int
) -> None:
    settings = replace(settings_version(affiliate_id=4), threshold_minor=threshold)
    looked_at = payee(due_minor=due, balance_minor=balance, settings=settings)

    after = checked_again(line(drafted), looked_at, TERMS, LineState.APPROVED, now=NOW)

    if after.state is LineState.APPROVED:
        assert 0 < after.amount_minor <= min(due, balance, drafted)
        assert (after.reason == "balance_shrank") == (after.amount_minor < drafted)
        assert after.settings_version == settings.version
        assert due >= threshold
    else:
        assert after.state is LineState.DROPPED
        assert after.reason is not None


@given(kind=st.sampled_from(list(Frequency)), on=DAYS, weekday=st.sampled_from(("monday", "friday", "sunday")))
def test_a_pay_day_is_never_after_the_day_and_due_once_until_the_next(kind: Frequency, on: date, weekday: str) -> None:
    chosen = weekday if kind is Frequency.WEEKLY else None
    pay_day = last_pay_day(kind, chosen, on)

    assert on - timedelta(days=92) < pay_day <= on
    assert last_pay_day(kind, chosen, pay_day) == pay_day
    assert is_pay_day_due(kind, chosen, paid_on=None, on=on)
    assert not is_pay_day_due(kind, chosen, paid_on=on, on=on)
    assert is_pay_day_due(kind, chosen, paid_on=pay_day - timedelta(days=1), on=on)


@pytest.mark.parametrize(
    ("kind", "weekday", "on", "expected"),
    [
        (Frequency.WEEKLY, "friday", date(2026, 11, 24), date(2026, 11, 20)),
        (Frequency.TWICE_A_MONTH, None, date(2026, 11, 15), date(2026, 11, 1)),
        (Frequency.TWICE_A_MONTH, None, date(2026, 11, 16), date(2026, 11, 16)),
        (Frequency.MONTHLY, None, date(2026, 2, 28), date(2026, 2, 1)),
        (Frequency.EVERY_TWO_MONTHS, None, date(2026, 12, 31), date(2026, 11, 1)),
        (Frequency.QUARTERLY, None, date(2026, 12, 31), date(2026, 10, 1)),
    ],
)
def test_pay_days_are_where_the_page_says(kind: Frequency, weekday: str | None, on: date, expected: date) -> None:
    assert last_pay_day(kind, weekday, on) == expected


def test_net_days_end_with_the_day() -> None:
    assert due_before(TERMS, 0) == datetime(2026, 11, 25, tzinfo=UTC)
    assert due_before(TERMS, 30) == datetime(2026, 10, 26, tzinfo=UTC)


def test_a_debt_is_told_before_anything_that_could_be_mended() -> None:
    assert reason_against(payee(balance_minor=-1, due_minor=-1, settings=None), TERMS, now=NOW) == "negative_balance"
    assert reason_against(payee(is_past_cure=True), TERMS, now=NOW) == "negative_past_cure"
    assert reason_against(payee(), TERMS, now=NOW) is None


def test_only_the_tables_steps_are_taken() -> None:
    for before in RunState:
        for after in RunState:
            if after in RUN_TRANSITIONS[before]:
                assert require_run_transition(before, after) is after
            else:
                with pytest.raises(RunTransitionRefused):
                    require_run_transition(before, after)
    for state, allowed in LINE_TRANSITIONS.items():
        for other in set(LineState) - allowed:
            with pytest.raises(RunTransitionRefused):
                require_line_transition(state, other)


def test_an_end_to_end_id_follows_from_run_and_affiliate_and_fits_every_rail() -> None:
    run_id = UUID(int=7)
    names = {end_to_end_id_of(line_id_of(run_id, affiliate_id)) for affiliate_id in range(1, 1_000)}

    assert len(names) == 999
    assert end_to_end_id_of(line_id_of(run_id, 1)) in names
    assert all(len(name) <= 30 for name in names)


@given(lines=st.dictionaries(st.integers(1, 2**31 - 1), st.integers(1, 10**15), min_size=1, max_size=30))
def test_a_payout_its_settlement_and_its_return_leave_nothing_behind(lines: dict[int, int]) -> None:
    pairs = [[affiliate_id, amount] for affiliate_id, amount in lines.items()]
    half = len(pairs) // 2
    inputs: dict[str, dict[str, Any]] = {
        "payout": {"lines": pairs},
        "settlement": {"lines": pairs[:half]},
        "payout_return": {"from_bank": pairs[:half], "from_clearing": pairs[half:]},
    }
    balances: dict[str, int] = {}
    ids = set()
    for kind, own in inputs.items():
        act = FinanceAct(uuid4(), kind, {"run_id": "r", "currency": "EUR", **own}, "key:a", NOW)
        for transaction in transactions_of(act):
            ids.add(transaction.transaction_id)
            for entry in transaction.entries:
                balances[str(entry.account)] = balances.get(str(entry.account), 0) + entry.amount_minor

    assert set(balances.values()) == {0}
    assert len(ids) == len(pairs) + half + len(pairs)


def test_a_payout_of_nothing_is_no_act() -> None:
    act = FinanceAct(uuid4(), "payout", {"run_id": "r", "currency": "EUR", "lines": [[4, 0]]}, "key:a", NOW)

    with pytest.raises(ActImpossible):
        transactions_of(act)
