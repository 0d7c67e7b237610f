"""Draft a payout run at a block: who is paid what, and who is left out and why."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from services.commissions.domain.payout_policy import PayoutPolicy
from services.commissions.domain.payout_run import (
    LINES_MAX,
    LineState,
    Payee,
    PayoutLine,
    PayoutRun,
    Reason,
    RunState,
    RunTerms,
    line_id_of,
    reason_against,
)
from services.commissions.domain.payout_settings import Method
from services.commissions.storage.ledger_reader import last_block_number
from services.commissions.storage.payable_store import find_payable_balances
from services.commissions.storage.payout_store import insert_run, lock_drafting
from services.commissions.usecases.find_payees import find_payees
from services.commissions.usecases.payout_counts import count_lines
from services.commissions.usecases.read_statement import BlockNotFound
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.ids import new_id
from shared.runtime.database import Session
from shared.runtime.failpoint import failpoint

LEFT_OUT_SHOWN_MAX: Final = 100_000
"""Affiliates a run looks at: more owe or are owed nothing that one run could pay."""


class PayerMissing(TributaryError):
    """The network has not said which account bank files are paid from."""

    code = "payer_missing"


@dataclass(frozen=True, slots=True)
class Drafted:
    """A run and its lines, those left out as well."""

    run: PayoutRun
    lines: tuple[PayoutLine, ...]


async def draft_payout_run(
    session: Session, terms: RunTerms, policy: PayoutPolicy, *, block_number: int | None, by: str, now: datetime
) -> Drafted:
    """Draft a run. block_number: the cut, None for the newest block. by: the id of the drafting key.

    Inside the caller's transaction; one draft at a time. Posts nothing. Raises InvalidValue, BlockNotFound,
    PayerMissing.
    """
    if terms.up_to > now.astimezone(UTC).date():
        raise InvalidValue("up_to", "up_to_in_future", "must not be after today (UTC)")
    if terms.method is Method.BANK and policy.payer is None:
        raise PayerMissing("set COMMISSIONS_PAYER_NAME and COMMISSIONS_PAYER_IBAN")
    await lock_drafting(session)
    head = await last_block_number(session)
    if block_number is not None and block_number > head:
        raise BlockNotFound("there is no such block yet")
    cut = head if block_number is None else block_number
    run = PayoutRun(new_id(), terms, cut, RunState.DRAFT, drafted_at=now, drafted_by=by)
    balances = await find_payable_balances(session, currency=terms.currency, block_number=cut)
    payees = await find_payees(
        session, list(balances)[:LEFT_OUT_SHOWN_MAX], terms, block_number=cut, run_id=None, cure=policy.cure, now=now
    )
    lines = _lines(run, list(payees.values()), now)
    await insert_run(session, run, lines)
    failpoint("payouts.drafted_before_commit")
    count_lines(session, [line for line in lines if line.state is LineState.DRAFT], terms.currency)
    return Drafted(run, tuple(lines))


def _lines(run: PayoutRun, payees: list[Payee], now: datetime) -> list[PayoutLine]:
    lines, taken = [], 0
    for payee in payees:
        reason = reason_against(payee, run.terms, now=now)
        if reason is None and taken == LINES_MAX:
            reason = Reason.RUN_FULL
        taken += reason is None
        amount = payee.payable_minor
        lines.append(
            PayoutLine(
                run_id=run.run_id,
                affiliate_id=payee.affiliate_id,
                line_id=line_id_of(run.run_id, payee.affiliate_id),
                state=LineState.DRAFT if reason is None else LineState.LEFT_OUT,
                reason=None if reason is None else reason.value,
                drafted_minor=amount,
                amount_minor=amount,
            )
        )
    return lines
