"""Take the bank's answer to a run: lines are settled or come back, and value moves with them. All of it or nothing."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from services.commissions.clients.bank_camt import read_camt
from services.commissions.clients.settlement_csv import read_paypal_report, read_settlement_csv
from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.payout_batch import end_to_end_id_of, run_id_of
from services.commissions.domain.payout_run import (
    LineState,
    PayoutLine,
    PayoutRun,
    RunState,
    require_line_transition,
    require_run_transition,
)
from services.commissions.domain.settlement import (
    BankAnswer,
    Matched,
    SettlementLine,
    SettlementStatus,
    match_settlement,
)
from services.commissions.storage.payout_store import (
    LineAnswer,
    find_answer,
    find_lines,
    insert_answer,
    store_answers,
    store_run,
)
from services.commissions.usecases.advance_payout_run import lock_run
from services.commissions.usecases.payout_counts import count_lines
from services.commissions.usecases.post_acts import post_acts
from services.commissions.usecases.write_payout_file import EXPORTED_EVER, NotExported
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id
from shared.kernel.money import Money
from shared.runtime.database import Session
from shared.runtime.failpoint import failpoint

_READERS: Final[Mapping[str, Callable[[bytes, str], BankAnswer]]] = MappingProxyType(
    {
        "camt": lambda content, _: read_camt(content),
        "csv": lambda content, name: read_settlement_csv(content, message_id=name),
        "paypal": lambda content, name: read_paypal_report(content, message_id=name),
    }
)
_NEXT: Final = MappingProxyType(
    {
        (LineState.EXPORTED, SettlementStatus.SETTLED): LineState.SETTLED,
        (LineState.EXPORTED, SettlementStatus.RETURNED): LineState.FAILED,
        (LineState.SETTLED, SettlementStatus.RETURNED): LineState.RETURNED,
    }
)
"""What an answer makes of a line. Everything else says what is known: a bank tells of one booking in several files."""

_STATES_AFTER_EXPORT: Final = (RunState.EXPORTED, RunState.SETTLED, RunState.FAILED)


@dataclass(frozen=True, slots=True)
class SettlementFault:
    """A line of the answer that is not what was asked. code: amount_differs, booked_twice, batch_differs."""

    reference: str
    code: str


class SettlementRefused(TributaryError):
    """An answer with sums that are not ours. Nothing of it was taken."""

    code = "settlement_refused"

    def __init__(self, faults: Sequence[SettlementFault]) -> None:
        super().__init__("the answer tells of other sums than were paid out")
        self.faults = tuple(faults)


@dataclass(frozen=True, slots=True)
class Settled:
    """What came of an answer. is_new: it was no repeat. counts: settled, returned, unchanged, foreign, …"""

    before: PayoutRun
    after: PayoutRun
    counts: Mapping[str, int]
    is_new: bool


@dataclass(slots=True)
class _Work:
    """A run's lines while an answer is laid on them, by affiliate; and which of them moved, in order."""

    lines: dict[int, PayoutLine]
    moved: list[tuple[PayoutLine, PayoutLine, SettlementLine | None, date]]
    unchanged: int = 0

    def take(self, affiliate_id: int, status: SettlementStatus, line: SettlementLine | None, on: date) -> None:
        before = self.lines[affiliate_id]
        state = _NEXT.get((before.state, status))
        if state is None:
            self.unchanged += 1
            return
        after = replace(before, state=require_line_transition(before.state, state), reason=_reason(before, line))
        self.lines[affiliate_id] = after
        self.moved.append((before, after, line, on))


async def settle_payout_run(
    session: Session, run_id: UUID, content: bytes, *, format: str, by: str, now: datetime
) -> Settled:
    """Lay the bank's file on the run's lines and post what follows, in the caller's transaction.

    The same file again changes nothing. format: camt, csv or paypal.
    Raises RunNotFound, NotExported, BankFileInvalid, SettlementRefused: then nothing changed.
    """
    run = await lock_run(session, run_id)
    if run.state not in _STATES_AFTER_EXPORT:
        raise NotExported("the run is not exported yet")
    sha256 = hashlib.sha256(content).digest()
    known = await find_answer(session, run_id, sha256)
    if known is not None:
        return Settled(run, run, known, is_new=False)
    answer = await asyncio.to_thread(_READERS[format], content, sha256.hex()[:32])
    lines = await find_lines(session, run_id, states=EXPORTED_EVER)
    work, matched = _lay(run, lines, answer)
    counts = _counts(work, matched, answer)
    after = replace(run, state=_run_state(run, list(work.lines.values())))
    await _store(session, run, after, work)
    await insert_answer(session, run_id, sha256, counts, now=now)
    await post_acts(session, _acts(run, work, sha256, by=by, now=now), now=now)
    failpoint("payouts.settled_before_commit")
    count_lines(session, [moved for _, moved, _, _ in work.moved], run.terms.currency)
    return Settled(run, after, counts, is_new=True)


def _lay(run: PayoutRun, lines: Sequence[PayoutLine], answer: BankAnswer) -> tuple[_Work, Matched]:
    by_name = {end_to_end_id_of(line.line_id): line for line in lines}
    expected = {name: Money(line.amount_minor, run.terms.currency) for name, line in by_name.items()}
    matched = match_settlement(expected, answer)
    faults = [SettlementFault(each.line.end_to_end_id, each.kind.value) for each in matched.mismatches]
    work = _Work({line.affiliate_id: line for line in lines}, [])
    for one in matched.lines:
        work.take(by_name[one.end_to_end_id].affiliate_id, one.status, one, one.booked_on)
    # A whole block is booked with what came back of it, or without what was never sent on.
    batches = [batch for batch in answer.batches if run_id_of(batch.payment_information_id) == run.run_id]
    if batches:
        waiting = [line for line in work.lines.values() if line.state is LineState.EXPORTED] or list(lines)
        unsettled = (line for line in work.lines.values() if line.state in (LineState.EXPORTED, LineState.FAILED))
        totals = {sum(line.amount_minor for line in lines) for lines in (waiting, unsettled)}
        booked = sum(batch.amount.amount_minor for batch in batches)
        if booked not in totals or {batch.amount.currency for batch in batches} != {run.terms.currency}:
            faults += [SettlementFault(batch.payment_information_id, "batch_differs") for batch in batches]
        for line in waiting:
            work.take(line.affiliate_id, SettlementStatus.SETTLED, None, batches[0].booked_on)
    if faults:
        raise SettlementRefused(faults)
    return work, matched


def _counts(work: _Work, matched: Matched, answer: BankAnswer) -> dict[str, int]:
    settled = sum(after.state is LineState.SETTLED for _, after, _, _ in work.moved)
    return {
        "settled": settled,
        "returned": len(work.moved) - settled,
        "unchanged": work.unchanged,
        "foreign": len(matched.foreign),
        "unrecognised": len(answer.unrecognised),
        "pending": answer.entries_pending,
    }


def _run_state(run: PayoutRun, lines: Sequence[PayoutLine]) -> RunState:
    """settled once every line has its answer and one arrived; failed where none did."""
    states = {line.state for line in lines}
    if LineState.EXPORTED in states:
        return run.state
    state = RunState.SETTLED if LineState.SETTLED in states else RunState.FAILED
    return run.state if state is run.state else require_run_transition(run.state, state)


async def _store(session: Session, before: PayoutRun, after: PayoutRun, work: _Work) -> None:
    last = {line.affiliate_id: (line, told, on) for _, line, told, on in work.moved}
    answers = [
        LineAnswer(
            affiliate_id=affiliate_id,
            state=line.state,
            reason_code=line.reason,
            answered_on=on,
            bank_reference=None if told is None else told.bank_reference or None,
        )
        for affiliate_id, (line, told, on) in last.items()
    ]
    if answers:
        await store_answers(session, before.run_id, answers)
    if after != before:
        await store_run(session, after)


def _acts(run: PayoutRun, work: _Work, sha256: bytes, *, by: str, now: datetime) -> list[FinanceAct]:
    moved: dict[tuple[LineState, LineState], list[list[int]]] = {}
    for before, after, _, _ in work.moved:
        moved.setdefault((before.state, after.state), []).append([after.affiliate_id, after.amount_minor])
    settled = moved.get((LineState.EXPORTED, LineState.SETTLED), [])
    failed = moved.get((LineState.EXPORTED, LineState.FAILED), [])
    returned = moved.get((LineState.SETTLED, LineState.RETURNED), [])
    common = {"run_id": str(run.run_id), "currency": run.terms.currency, "answer_sha256": sha256.hex()}
    acts = []
    if settled:
        acts.append(("settlement", {**common, "lines": settled}))
    if failed or returned:
        acts.append(("payout_return", {**common, "from_clearing": failed, "from_bank": returned}))
    return [
        FinanceAct(derived_id(run.run_id, f"{kind}:{sha256.hex()}"), kind, inputs, f"key:{by}", now)
        for kind, inputs in acts
    ]


def _reason(line: PayoutLine, told: SettlementLine | None) -> str | None:
    return told.reason or line.reason if told is not None else line.reason
