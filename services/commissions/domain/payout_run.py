"""A payout run: its states, its lines' states, and who is in it and why not. Pure.

run   draft → approved → exported → settled | failed        draft, approved → cancelled
line  draft → approved → exported → settled → returned      draft, approved → dropped | cancelled; exported → failed
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final
from uuid import UUID

from services.commissions.domain.payout_settings import Method, PayoutSettings, is_pay_day_due
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id

LINES_MAX: Final = 5_000
"""Payees of one run: its act and its event, which name each of them, stay well under a megabyte."""


class RunState(StrEnum):
    """Of a run. failed: nothing of it arrived."""

    DRAFT = "draft"
    APPROVED = "approved"
    EXPORTED = "exported"
    SETTLED = "settled"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LineState(StrEnum):
    """Of a line. left_out: never in the run. failed: came back before it was settled; returned: after that."""

    LEFT_OUT = "left_out"
    DRAFT = "draft"
    DROPPED = "dropped"
    APPROVED = "approved"
    EXPORTED = "exported"
    SETTLED = "settled"
    FAILED = "failed"
    RETURNED = "returned"
    CANCELLED = "cancelled"


RUN_TRANSITIONS: Final = MappingProxyType(
    {
        RunState.DRAFT: frozenset({RunState.APPROVED, RunState.CANCELLED}),
        RunState.APPROVED: frozenset({RunState.EXPORTED, RunState.CANCELLED}),
        RunState.EXPORTED: frozenset({RunState.SETTLED, RunState.FAILED}),
        RunState.SETTLED: frozenset({RunState.FAILED}),
        RunState.FAILED: frozenset[RunState](),
        RunState.CANCELLED: frozenset[RunState](),
    }
)
LINE_TRANSITIONS: Final = MappingProxyType(
    {
        LineState.LEFT_OUT: frozenset[LineState](),
        LineState.DRAFT: frozenset({LineState.APPROVED, LineState.DROPPED, LineState.CANCELLED}),
        LineState.DROPPED: frozenset[LineState](),
        LineState.APPROVED: frozenset({LineState.EXPORTED, LineState.DROPPED, LineState.CANCELLED}),
        LineState.EXPORTED: frozenset({LineState.SETTLED, LineState.FAILED}),
        LineState.SETTLED: frozenset({LineState.RETURNED}),
        LineState.FAILED: frozenset[LineState](),
        LineState.RETURNED: frozenset[LineState](),
        LineState.CANCELLED: frozenset[LineState](),
    }
)
PAID: Final = frozenset({LineState.EXPORTED, LineState.SETTLED})
"""States in which the money is on its way, or there."""


class RunTransitionRefused(TributaryError):
    """A change of state that the table does not have."""

    code = "payout_transition_refused"


class SelfApproval(TributaryError):
    """The key that drafted a run may not approve it."""

    code = "self_approval"


def require_run_transition(before: RunState, after: RunState) -> RunState:
    """`after`, if the table allows it from `before`. Raises RunTransitionRefused."""
    if after not in RUN_TRANSITIONS[before]:
        raise RunTransitionRefused(f"a payout run does not go from {before} to {after}")
    return after


def require_line_transition(before: LineState, after: LineState) -> LineState:
    """`after`, if the table allows it from `before`. Raises RunTransitionRefused."""
    if after not in LINE_TRANSITIONS[before]:
        raise RunTransitionRefused(f"a payout's line does not go from {before} to {after}")
    return after


class Reason(StrEnum):
    """Why a line is not paid, or not in full; in the order in which they are looked at."""

    NOT_ACTIVE = "affiliate_not_active"
    STOPPED = "payouts_stopped"
    NEGATIVE = "negative_balance"
    PAST_CURE = "negative_past_cure"
    NO_SETTINGS = "settings_missing"
    OTHER_CURRENCY = "other_currency"
    OTHER_METHOD = "other_method"
    DETAILS_WAIT = "changed_details_wait"
    OTHER_RUN = "in_another_run"
    NOT_PAY_DAY = "pay_day_not_reached"
    NOTHING_DUE = "nothing_due"
    BELOW_THRESHOLD = "below_threshold"
    RUN_FULL = "run_full"
    SHRUNK = "balance_shrank"
    DETAILS_UNUSABLE = "details_unusable"


@dataclass(frozen=True, slots=True)
class RunTerms:
    """What a run pays: in what, how, and what is due by the end of the day `up_to` (UTC)."""

    currency: str
    method: Method
    up_to: date


@dataclass(frozen=True, slots=True)
class Payee:
    """What is known of one affiliate when a run looks at it. Amounts in the run's currency; negative: it owes.

    due_minor: what its own net days let be paid. balance_minor: all that is payable, due or not. is_past_cure: a
    balance, in any currency, has been negative for longer than the cure period. paid_on: day of its last payout.
    """

    affiliate_id: int
    settings: PayoutSettings | None
    due_minor: int
    balance_minor: int
    is_active: bool
    is_stopped: bool
    is_past_cure: bool
    is_in_other_run: bool
    paid_on: date | None

    @property
    def payable_minor(self) -> int:
        """The most that may be paid: never more than is due, nor than there is."""
        return min(self.due_minor, self.balance_minor)


def reason_against(payee: Payee, terms: RunTerms, *, now: datetime) -> Reason | None:
    """Why `payee` is not paid by a run of these terms; None where it is."""
    settings = payee.settings
    if not payee.is_active:
        return Reason.NOT_ACTIVE
    if payee.is_stopped:
        return Reason.STOPPED
    if payee.balance_minor < 0:
        return Reason.NEGATIVE
    if payee.is_past_cure:
        return Reason.PAST_CURE
    if settings is None:
        return Reason.NO_SETTINGS
    if settings.currency != terms.currency:
        return Reason.OTHER_CURRENCY
    if settings.method is not terms.method:
        return Reason.OTHER_METHOD
    if settings.is_held_at(now):
        return Reason.DETAILS_WAIT
    if payee.is_in_other_run:
        return Reason.OTHER_RUN
    if not is_pay_day_due(settings.frequency, settings.weekday, paid_on=payee.paid_on, on=terms.up_to):
        return Reason.NOT_PAY_DAY
    if payee.payable_minor <= 0:
        return Reason.NOTHING_DUE
    return Reason.BELOW_THRESHOLD if payee.payable_minor < settings.threshold_minor else None


@dataclass(frozen=True, slots=True)
class PayoutRun:
    """One run. block_number: the cut it was drafted at. drafted_by …: ids of API keys."""

    run_id: UUID
    terms: RunTerms
    block_number: int
    state: RunState
    drafted_at: datetime
    drafted_by: str
    approved_at: datetime | None = None
    approved_by: str | None = None
    exported_at: datetime | None = None
    exported_by: str | None = None


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """One affiliate in a run, or left out of it. drafted_minor: as drafted. settings_version: frozen at approval.

    line_id: names it between banks; follows from run and affiliate. reason: why it is not paid, or paid less.
    """

    run_id: UUID
    affiliate_id: int
    line_id: UUID
    state: LineState
    reason: str | None
    drafted_minor: int
    amount_minor: int
    settings_version: int | None = None


def line_id_of(run_id: UUID, affiliate_id: int) -> UUID:
    """The id of an affiliate's line: the same whenever the run is worked on again."""
    return derived_id(run_id, f"affiliate:{affiliate_id}")


def due_before(terms: RunTerms, net_days: int) -> datetime:
    """What became payable before this instant is due: the end of the run's day, less the affiliate's net days."""
    return datetime.combine(terms.up_to, time(), UTC) + timedelta(days=1 - net_days)


def checked_again(line: PayoutLine, payee: Payee, terms: RunTerms, after: LineState, *, now: datetime) -> PayoutLine:
    """`line` on its way to `after`, laid against what is there now: unchanged, smaller with its reason, or dropped.

    Never larger: what came on top since the draft was not looked at by the one who approves.
    """
    reason = reason_against(payee, terms, now=now)
    if reason is not None:
        return replace(line, state=require_line_transition(line.state, LineState.DROPPED), reason=reason.value)
    changed = replace(line, state=require_line_transition(line.state, after))
    if line.settings_version is None and payee.settings is not None:
        changed = replace(changed, settings_version=payee.settings.version)
    if payee.payable_minor < line.amount_minor:
        changed = replace(changed, amount_minor=payee.payable_minor, reason=Reason.SHRUNK.value)
    return changed
