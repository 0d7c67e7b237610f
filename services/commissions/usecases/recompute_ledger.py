"""Reprice everything from its stored inputs, and find the first posting that says something else."""

from uuid import UUID

import msgspec

from services.commissions.domain.acts.registry import transactions_of
from services.commissions.domain.commission import Standing
from services.commissions.domain.ledger import CONVERSION_KINDS, LedgerTransaction
from services.commissions.domain.postings import CREDITED, Release, apply_release, apply_version
from services.commissions.storage.act_store import count_acts, find_transaction_without_act, stream_acts
from services.commissions.storage.step_reader import (
    PostedEntry,
    PostedTransaction,
    RecordedStep,
    count_steps,
    find_transaction_without_step,
    stream_steps,
)
from services.commissions.usecases.apply_conversions import credit_version
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.verify_ledger import LedgerBroken, LedgerFault, Progress, in_silence
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import CONVERSIONS_DECODER
from shared.contracts.events import EventUndecodable
from shared.kernel.errors import TributaryError
from shared.runtime.database import Session


async def recompute_ledger(session: Session, offer_versions: OfferVersions, progress: Progress = in_silence) -> int:
    """Apply every stored version again, in memory, under its offer version; gives how many versions were repriced.

    Inputs: the bytes of each conversion's versions, and the offer versions of the stored catalogue. Raises
    LedgerBroken where a version is missing, or posts other transactions than the ledger has (I5).
    """
    standing: Standing | None = None
    last: tuple[UUID, int, int] | None = None
    count, total = 0, await count_steps(session)
    async for step in stream_steps(session):
        if last is None or last[0] != step.conversion_id:
            standing, last = None, (step.conversion_id, 0, 0)
        _require_next(step, last[1:])
        standing = await _recompute(session, step, standing, offer_versions)
        last, count = (step.conversion_id, step.version, step.n), count + 1
        progress(count, total)
    unknown = await find_transaction_without_step(session)
    if unknown is not None:
        raise LedgerBroken(LedgerFault(f"ledger_transaction {unknown}", "no applied version accounts for it"))
    return count


def _require_next(step: RecordedStep, last: tuple[int, int]) -> None:
    """Versions, and the releases after each, are numbered without gaps. last: version and n; (0, 0) for none."""
    version, n = last
    if step.n and (step.version, step.n) != (version, n + 1):
        raise _broken(step, "a release before it is missing")
    if not step.n and step.version != version + 1:
        raise _broken(step, f"version {version + 1} of its conversion is missing")


async def recompute_acts(session: Session, progress: Progress = in_silence) -> int:
    """Compute every finance act again from its stored inputs; gives how many. Raises LedgerBroken at the first bad."""
    count, total = 0, await count_acts(session)
    async for recorded in stream_acts(session):
        row = f"finance_act {recorded.act.act_id}"
        try:
            computed = transactions_of(recorded.act)
        except TributaryError as refused:
            raise LedgerBroken(LedgerFault(row, f"cannot be recomputed: {refused}")) from None
        _compare_posted(row, recorded.posted, computed)
        count += 1
        progress(count, total)
    unknown = await find_transaction_without_act(session, CONVERSION_KINDS)
    if unknown is not None:
        raise LedgerBroken(LedgerFault(f"ledger_transaction {unknown}", "no finance act accounts for it"))
    return count


async def _recompute(
    session: Session, step: RecordedStep, standing: Standing | None, offer_versions: OfferVersions
) -> Standing | None:
    try:
        version = ConversionVersion(CONVERSIONS_DECODER.decode(step.payload), step.payload)
    except EventUndecodable as fault:
        raise _broken(step, str(fault)) from None
    event = version.event
    if standing is None and event.status not in CREDITED:
        _compare(step, ())
        return None
    key = (event.offer_id or 0, event.offer_version or 0)
    known = await offer_versions.find_stored(session, key)
    try:
        decisions = msgspec.json.decode(step.decisions, type=DecisionsV1)
        credit = credit_version(version, known)
        outcome = (
            apply_version(standing, credit, decisions)
            if step.n == 0 or standing is None
            else apply_release(standing, credit, _release(step), decisions)
        )
    except (TributaryError, msgspec.ValidationError) as refused:
        raise _broken(step, f"cannot be repriced: {refused}") from None
    _compare(step, tuple(posted.transaction for posted in outcome.posted))
    return outcome.standing


def _release(step: RecordedStep) -> Release:
    return Release(step.event_id, step.n, step.actor or "", step.occurred_at, step.reason_code or "")


def _compare(step: RecordedStep, computed: tuple[LedgerTransaction, ...]) -> None:
    _compare_posted(_row(step), step.posted, computed)


def _compare_posted(row: str, posted: tuple[PostedTransaction, ...], computed: tuple[LedgerTransaction, ...]) -> None:
    expected = {transaction.transaction_id: _posted(transaction) for transaction in computed}
    found = {each.transaction_id: each for each in posted}
    for transaction_id in sorted(expected.keys() | found.keys()):
        if expected.get(transaction_id) != found.get(transaction_id):
            missing = "is not in the ledger" if transaction_id not in found else "is not what its inputs come to"
            raise LedgerBroken(LedgerFault(row, f"ledger_transaction {transaction_id} {missing}"))


def _posted(transaction: LedgerTransaction) -> PostedTransaction:
    entries = tuple(
        PostedEntry(str(entry.account), entry.currency, entry.amount_minor, entry.payable_at)
        for entry in transaction.entries
    )
    return PostedTransaction(transaction.transaction_id, transaction.kind.value, transaction.occurred_at, entries)


def _broken(step: RecordedStep, reason: str) -> LedgerBroken:
    return LedgerBroken(LedgerFault(_row(step), reason))


def _row(step: RecordedStep) -> str:
    released = f" release {step.n}" if step.n else ""
    return f"commission_step {step.conversion_id} version {step.version}{released}"
