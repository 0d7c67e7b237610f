"""Bring a payout run on: approved by a second person, exported with its posting and its file, or cancelled."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import UUID

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.payout_policy import PayoutPolicy
from services.commissions.domain.payout_run import (
    LineState,
    Payee,
    PayoutLine,
    PayoutRun,
    Reason,
    RunState,
    SelfApproval,
    checked_again,
    due_before,
    require_line_transition,
    require_run_transition,
)
from services.commissions.storage.ledger_store import lock_head
from services.commissions.storage.payable_store import insert_covered_commissions
from services.commissions.storage.payout_store import (
    find_lines,
    find_payer,
    find_run,
    insert_file,
    store_lines,
    store_payer,
    store_run,
)
from services.commissions.usecases.find_payees import find_payees
from services.commissions.usecases.payout_counts import count_lines
from services.commissions.usecases.post_acts import post_acts
from services.commissions.usecases.write_payout_file import FORMATS, write_payout_file
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.ids import derived_id
from shared.runtime.database import Session
from shared.runtime.failpoint import failpoint
from shared.runtime.keyring import Keyring

_LINE_FIELD: Final = re.compile(r"lines\.([0-9]+)\.")


class RunNotFound(TributaryError):
    """There is no such run."""

    code = "payout_run_not_found"


class RunEmpty(TributaryError):
    """Nobody is left to be paid by the run."""

    code = "payout_run_empty"


async def approve_payout_run(
    session: Session, keyring: Keyring, policy: PayoutPolicy, run_id: UUID, *, by: str, now: datetime
) -> tuple[PayoutRun, PayoutRun]:
    """draft → approved, by another key than the one that drafted it; gives the run before and after.

    Each line is laid against what is there now: it shrinks or is dropped, with its reason. What a line is paid by and
    the payer are frozen; a payee whom no file can name is dropped. Posts nothing.
    Raises RunNotFound, RunTransitionRefused, SelfApproval, RunEmpty, and InvalidValue for a fault of the whole file.
    """
    run = await lock_run(session, run_id)
    state = require_run_transition(run.state, RunState.APPROVED)
    if by == run.drafted_by:
        raise SelfApproval("the key that drafted a run may not approve it")
    lines = await find_lines(session, run_id, states=[LineState.DRAFT])
    checked, _ = await _check_again(session, run, lines, policy, LineState.APPROVED, now=now)
    checked = await _without_unusable(session, keyring, run, checked, policy, now=now)
    _require_somebody(checked, LineState.APPROVED)
    approved = replace(run, state=state, approved_at=now, approved_by=by)
    await store_lines(session, checked)
    await store_payer(session, run_id, policy.payer)
    await store_run(session, approved)
    failpoint("payouts.approved_before_commit")
    count_lines(session, checked, run.terms.currency)
    return run, approved


async def export_payout_run(
    session: Session, keyring: Keyring, policy: PayoutPolicy, run_id: UUID, *, by: str, now: datetime
) -> tuple[PayoutRun, PayoutRun]:
    """approved → exported: posting, file's hash and state in one transaction; gives the run before and after.

    Amounts are checked once more under the block lock, so that no reversal comes between the check and the posting.
    The file is written before that lock, and again under it only where the check changed something.
    Raises RunNotFound, RunTransitionRefused, RunEmpty.
    """
    run = await lock_run(session, run_id)
    state = require_run_transition(run.state, RunState.EXPORTED)
    lines, payer = await find_lines(session, run_id, states=[LineState.APPROVED]), await find_payer(session, run_id)
    foreseen, _ = await _check_again(session, run, lines, policy, LineState.EXPORTED, now=now)
    paid = _require_somebody(foreseen, LineState.EXPORTED)
    file = await write_payout_file(session, keyring, run, paid, payer=payer, created_at=now, now=now)
    await lock_head(session)
    checked, payees = await _check_again(session, run, lines, policy, LineState.EXPORTED, now=now)
    if checked != foreseen:
        paid = _require_somebody(checked, LineState.EXPORTED)
        file = await write_payout_file(session, keyring, run, paid, payer=payer, created_at=now, now=now)
    exported = replace(run, state=state, exported_at=now, exported_by=by)
    await store_lines(session, checked, exported_at=now)
    await store_run(session, exported)
    await _note_covered(session, run, paid, payees)
    await insert_file(
        session, run_id, format=FORMATS[run.terms.method], sha256=file.sha256, size_bytes=len(file.content)
    )
    failpoint("payouts.exported_before_posting")
    await post_acts(session, [_payout_act(run, paid, by=by, now=now)], now=now)
    failpoint("payouts.exported_before_commit")
    count_lines(session, checked, run.terms.currency)
    return run, exported


async def cancel_payout_run(session: Session, run_id: UUID) -> tuple[PayoutRun, PayoutRun]:
    """draft or approved → cancelled: its payees are free for the next run. Raises RunNotFound, RunTransitionRefused."""
    run = await lock_run(session, run_id)
    state = require_run_transition(run.state, RunState.CANCELLED)
    lines = await find_lines(session, run_id, states=[LineState.DRAFT, LineState.APPROVED])
    cancelled = [replace(line, state=require_line_transition(line.state, LineState.CANCELLED)) for line in lines]
    await store_lines(session, cancelled)
    await store_run(session, replace(run, state=state))
    count_lines(session, cancelled, run.terms.currency)
    return run, replace(run, state=state)


async def lock_run(session: Session, run_id: UUID) -> PayoutRun:
    """The run, locked until the transaction ends. Raises RunNotFound."""
    run = await find_run(session, run_id, locked=True)
    if run is None:
        raise RunNotFound("there is no such run")
    return run


async def _check_again(
    session: Session,
    run: PayoutRun,
    lines: Sequence[PayoutLine],
    policy: PayoutPolicy,
    after: LineState,
    *,
    now: datetime,
) -> tuple[list[PayoutLine], dict[int, Payee]]:
    payees = await find_payees(
        session,
        [line.affiliate_id for line in lines],
        run.terms,
        block_number=None,
        run_id=run.run_id,
        cure=policy.cure,
        now=now,
    )
    checked = [checked_again(line, payees[line.affiliate_id], run.terms, after, now=now) for line in lines]
    return checked, payees


async def _without_unusable(
    session: Session, keyring: Keyring, run: PayoutRun, lines: list[PayoutLine], policy: PayoutPolicy, *, now: datetime
) -> list[PayoutLine]:
    """`lines`, those dropped that no file takes: a name that cannot be spelt, a currency that the rail does not pay."""
    checked = list(lines)
    while paid := [line for line in checked if line.state is LineState.APPROVED]:
        try:
            await write_payout_file(session, keyring, run, paid, payer=policy.payer, created_at=now, now=now)
        except InvalidValue as fault:
            place = _LINE_FIELD.match(fault.field)
            if place is None:
                raise
            bad = paid[int(place[1])]
            dropped = replace(bad, state=LineState.DROPPED, reason=Reason.DETAILS_UNUSABLE.value)
            checked[checked.index(bad)] = dropped
        else:
            break
    return checked


def _require_somebody(lines: Sequence[PayoutLine], state: LineState) -> list[PayoutLine]:
    paid = [line for line in lines if line.state is state]
    if not paid:
        raise RunEmpty("nobody is left to be paid by this run")
    return paid


def _payout_act(run: PayoutRun, paid: Sequence[PayoutLine], *, by: str, now: datetime) -> FinanceAct:
    return FinanceAct(
        act_id=derived_id(run.run_id, "payout"),
        kind="payout",
        inputs={
            "run_id": str(run.run_id),
            "currency": run.terms.currency,
            "lines": [[line.affiliate_id, line.amount_minor] for line in paid],
        },
        actor=f"key:{by}",
        occurred_at=now,
    )


async def _note_covered(session: Session, run: PayoutRun, paid: Sequence[PayoutLine], payees: dict[int, Payee]) -> None:
    left = {}
    for line in paid:
        payee = payees[line.affiliate_id]
        net_days = payee.settings.net_days if payee.settings is not None else 0
        left[line.affiliate_id] = (due_before(run.terms, net_days), max(payee.due_minor - line.amount_minor, 0))
    await insert_covered_commissions(session, run.run_id, currency=run.terms.currency, left=left)
