"""VAT is exact and rounded once; a statement's life has three states and two steps."""

from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.commissions.domain.statement import Cut, Party, Section, Statement
from services.commissions.domain.statement_lifecycle import (
    TRANSITIONS,
    Series,
    StatementState,
    StatementStep,
    StatementTransitionRefused,
    next_state,
    series_of,
)
from services.commissions.domain.tax import NOT_SUPPLIED, SelfBilling, TaxSettings, tax_lines_of
from shared.kernel.errors import InvalidValue
from shared.kernel.period import Period

AFFILIATE, MERCHANT = Party(affiliate_id=7), Party(merchant_id=3)
KINDS = ("accrual", "approval", "adjustment", "reversal", "bonus", "unheard_of", *sorted(NOT_SUPPLIED))
RATES = st.decimals(0, 100, places=3)


def settings_of(rate: Decimal = Decimal(21), *, reverse: bool = False, agreed: bool = False) -> TaxSettings:
    agreement = SelfBilling(date(2026, 1, 1), "A-1") if agreed else None
    return TaxSettings(date(2026, 1, 1), "A party", ("A street",), "BE", "BE0123456789", rate, reverse, agreement)


def statement_of(party: Party, totals: dict[str, int], *, pending: int = 0) -> Statement:
    moved = {"payable": totals, "receivable": totals, "pending": {"accrual": pending}}
    sections = [Section(name, 55, moved.get(name, {"merchant_payment": 7})) for name in party.sections.values()]
    return Statement(party, Period(2026, 11), "EUR", Cut(1, 0, bytes(32), None, True), sections)


@given(
    totals=st.dictionaries(st.sampled_from(KINDS), st.integers(-(10**15), 10**15)),
    rate=RATES,
    party=st.sampled_from([AFFILIATE, MERCHANT]),
    pending=st.integers(-(10**9), 10**9),
)
def test_vat_is_of_the_net_supplied_and_rounded_half_up_once(
    totals: dict[str, int], rate: Decimal, party: Party, pending: int
) -> None:
    lines = tax_lines_of(statement_of(party, totals, pending=pending), settings_of(rate))
    opposite = tax_lines_of(statement_of(party, {k: -v for k, v in totals.items()}), settings_of(rate))

    net = sum(minor for kind, minor in totals.items() if kind not in NOT_SUPPLIED)
    with localcontext(prec=60):
        exact = (Decimal(net) * rate / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP)
    assert (lines.net_minor, lines.vat_minor) == (net, int(exact))
    assert lines.gross_minor == lines.net_minor + lines.vat_minor
    assert (opposite.net_minor, opposite.vat_minor) == (-lines.net_minor, -lines.vat_minor)


def test_reverse_charge_shows_no_vat() -> None:
    lines = tax_lines_of(statement_of(MERCHANT, {"accrual": 1_000}), settings_of(Decimal(0), reverse=True))

    assert (lines.net_minor, lines.vat_minor, lines.gross_minor) == (1_000, 0, 1_000)


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("country", {"country": "be"}),
        ("tax_id", {"tax_id": "BE 0123"}),
        ("tax_id", {"tax_id": None, "is_reverse_charge": True, "rate_percent": Decimal(0)}),
        ("rate_percent", {"is_reverse_charge": True}),
    ],
)
def test_settings_without_sense_are_refused_by_field(field: str, changed: dict[str, object]) -> None:
    good = settings_of()
    given = {name: getattr(good, name) for name in good.__slots__} | changed

    with pytest.raises(InvalidValue) as refused:
        TaxSettings(**given)
    assert refused.value.field == field


def test_whoever_is_not_in_the_table_does_not_move() -> None:
    for state in StatementState:
        for step in StatementStep:
            if (state, step) in TRANSITIONS:
                assert next_state(state, step) == TRANSITIONS[state, step]
                continue
            with pytest.raises(StatementTransitionRefused):
                next_state(state, step)
    assert len(TRANSITIONS) == 2


def test_an_invoice_needs_an_agreement_or_a_merchants_settings() -> None:
    assert series_of(AFFILIATE, None) == Series.COMMISSION_STATEMENT
    assert series_of(AFFILIATE, settings_of()) == Series.COMMISSION_STATEMENT
    assert series_of(AFFILIATE, settings_of(agreed=True)) == Series.SELF_BILLING
    assert series_of(MERCHANT, None) == Series.STATEMENT_OF_CHARGES
    assert series_of(MERCHANT, settings_of()) == Series.INVOICE
