"""A statement's life: a draft while its period is open, final with a number once it is closed, void once replaced."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from services.commissions.domain.statement import Party
from services.commissions.domain.tax import TaxSettings
from shared.kernel.errors import TributaryError


class StatementState(StrEnum):
    """draft: no row yet, its lines may grow. final: numbered, never changed. void: another number stands for it."""

    DRAFT = "draft"
    FINAL = "final"
    VOID = "void"


class StatementStep(StrEnum):
    """What may happen to a statement."""

    FINALISE = "finalise"
    VOID = "void"


class StatementTransitionRefused(TributaryError):
    """A step that the state does not allow."""

    code = "statement_transition_refused"


TRANSITIONS: Final[Mapping[tuple[StatementState, StatementStep], StatementState]] = MappingProxyType(
    {
        (StatementState.DRAFT, StatementStep.FINALISE): StatementState.FINAL,
        (StatementState.FINAL, StatementStep.VOID): StatementState.VOID,
    }
)


def next_state(state: StatementState, step: StatementStep) -> StatementState:
    """The state after `step`. Raises StatementTransitionRefused for any pair that is not in TRANSITIONS."""
    after = TRANSITIONS.get((state, step))
    if after is None:
        raise StatementTransitionRefused(f"a statement that is {state.value} cannot be made {step.value}")
    return after


class Series(StrEnum):
    """Numbers run without a gap inside a series: a tax office asks for each."""

    SELF_BILLING = "SB"
    COMMISSION_STATEMENT = "CS"
    INVOICE = "IN"
    STATEMENT_OF_CHARGES = "SC"


_TITLES: Final[Mapping[Series, str]] = MappingProxyType(
    {
        Series.SELF_BILLING: "Self-billing invoice",
        Series.COMMISSION_STATEMENT: "Commission statement",
        Series.INVOICE: "Invoice",
        Series.STATEMENT_OF_CHARGES: "Statement of charges",
    }
)


def series_of(party: Party, settings: TaxSettings | None) -> Series:
    """An affiliate's is an invoice only by a self-billing agreement, a merchant's only with its tax settings."""
    if party.affiliate_id is not None:
        has_agreed = settings is not None and settings.self_billing is not None
        return Series.SELF_BILLING if has_agreed else Series.COMMISSION_STATEMENT
    return Series.STATEMENT_OF_CHARGES if settings is None else Series.INVOICE


def title_of_series(series: Series) -> str:
    """What a statement of the series is called on paper."""
    return _TITLES[series]


def number_text(series: Series, n: int) -> str:
    """`SB-000042`."""
    return f"{series.value}-{n:06d}"
