"""What payout runs and payouts look like over HTTP."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from services.commissions.domain.payout_batch import end_to_end_id_of
from services.commissions.domain.payout_run import LineState, PayoutLine, PayoutRun, RunState
from services.commissions.domain.payout_settings import Method
from services.commissions.storage.payout_reader import ShownPayout
from services.commissions.storage.payout_store import LineSum
from shared.kernel.money import Money
from shared.runtime.http_app import MoneyAnswer


class LineSumAnswer(BaseModel):
    """Lines of one state, and why where they are not paid, or paid less. amount: together; negative: they owe."""

    state: LineState
    reason_code: str | None
    count: int
    amount: MoneyAnswer


class PayoutRunAnswer(BaseModel):
    """A run. block_number: the cut it was drafted at. drafted_by, approved_by, exported_by: ids of API keys."""

    id: UUID
    currency: str
    method: Method
    up_to: date
    block_number: int
    state: RunState
    drafted_at: datetime
    drafted_by: str
    approved_at: datetime | None
    approved_by: str | None
    exported_at: datetime | None
    exported_by: str | None
    lines: list[LineSumAnswer]


class PayoutLineAnswer(BaseModel):
    """An affiliate in a run, or left out of it. drafted: what the draft said; amount: what is paid."""

    affiliate_id: int
    end_to_end_id: str
    state: LineState
    reason_code: str | None
    drafted: MoneyAnswer
    amount: MoneyAnswer


class PayoutAnswer(BaseModel):
    """A payout to an affiliate. state: exported (on its way), settled, failed or returned (both: owed again)."""

    id: UUID
    affiliate_id: int
    end_to_end_id: str
    state: LineState
    reason_code: str | None
    amount: MoneyAnswer
    method: Method
    up_to: date
    exported_at: datetime
    answered_on: date | None


class SettlementAnswer(BaseModel):
    """What came of a bank's file. unchanged: known before. foreign: other payments than this run's.

    is_repeated: the same file was taken before, and nothing was done again.
    """

    run: PayoutRunAnswer
    is_repeated: bool
    settled: int
    returned: int
    unchanged: int
    foreign: int
    unrecognised: int
    pending: int


def run_document(run: PayoutRun, sums: Sequence[LineSum]) -> dict[str, Any]:
    """A run as a JSON value."""
    currency = run.terms.currency
    answer = PayoutRunAnswer(
        id=run.run_id,
        currency=currency,
        method=run.terms.method,
        up_to=run.terms.up_to,
        block_number=run.block_number,
        state=run.state,
        drafted_at=run.drafted_at,
        drafted_by=run.drafted_by,
        approved_at=run.approved_at,
        approved_by=run.approved_by,
        exported_at=run.exported_at,
        exported_by=run.exported_by,
        lines=[
            LineSumAnswer(
                state=each.state,
                reason_code=each.reason,
                count=each.count,
                amount=_money(each.amount_minor, currency),
            )
            for each in sums
        ],
    )
    return answer.model_dump(mode="json")


def line_document(line: PayoutLine, currency: str) -> dict[str, Any]:
    """A line as a JSON value."""
    answer = PayoutLineAnswer(
        affiliate_id=line.affiliate_id,
        end_to_end_id=end_to_end_id_of(line.line_id),
        state=line.state,
        reason_code=line.reason,
        drafted=_money(line.drafted_minor, currency),
        amount=_money(line.amount_minor, currency),
    )
    return answer.model_dump(mode="json")


def payout_document(payout: ShownPayout) -> dict[str, Any]:
    """A payout as a JSON value."""
    answer = PayoutAnswer(
        id=payout.line_id,
        affiliate_id=payout.affiliate_id,
        end_to_end_id=end_to_end_id_of(payout.line_id),
        state=payout.state,
        reason_code=payout.reason,
        amount=MoneyAnswer.of(payout.amount),
        method=payout.method,
        up_to=payout.up_to,
        exported_at=payout.exported_at,
        answered_on=payout.answered_on,
    )
    return answer.model_dump(mode="json")


def _money(amount_minor: int, currency: str) -> MoneyAnswer:
    return MoneyAnswer.of(Money(amount_minor, currency))
