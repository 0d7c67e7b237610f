"""Write what a batch of versions came to: steps, commissions, ledger transactions, their block, and the word of it."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import cast
from uuid import UUID

import msgspec

from services.commissions.domain.commission import Standing, commission_id_of
from services.commissions.domain.ledger import Block
from services.commissions.domain.postings import Applied, Posted, Release
from services.commissions.storage.commission_store import CommissionRow, StepRow, insert_steps, save_commissions
from services.commissions.storage.ledger_store import insert_transactions, seal_posting
from shared.contracts.catalogue import MoneyV1, TermV1
from shared.contracts.commissions import NO_DECISIONS, CommissionPostedV1, DecisionsV1, PostedStatusV1, PostingKindV1
from shared.contracts.conversions import ConversionChangedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import COMMISSIONS
from shared.kernel.ids import derived_id, new_id
from shared.kernel.money import Money
from shared.kernel.trace import ClickTrace, span_id_of, trace_id_of_click
from shared.runtime.database import Session, after_commit
from shared.runtime.failpoint import failpoint
from shared.runtime.metrics import counter
from shared.runtime.outbox import OutgoingEvent, append
from shared.runtime.tracing import keeps, span, span_of_batch, tell

_transactions = counter(
    "ledger", unit="transactions", meaning="Ledger transactions posted, by kind of posting", labels=["kind"]
)
_moved = counter(
    "commission_changed", unit="minor", meaning="Commission credited or taken back, in minor units, without its sign",
    labels=["kind", "currency"],
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ConversionVersion:
    """One event and its bytes as they came, which the step keeps as its input. has_waited: it was parked until now.

    Its ids are read once here: a batch asks for them a dozen times. Raises ValueError for one that is no UUID.
    """

    event: ConversionChangedV1
    payload: bytes
    has_waited: bool = False
    conversion_id: UUID = field(init=False)
    commission_id: UUID = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "conversion_id", UUID(self.event.conversion_id))
        object.__setattr__(self, "commission_id", commission_id_of(self.conversion_id))


@dataclass(frozen=True, slots=True)
class AppliedVersion:
    """A version and what came of it. term: the contract's record of what priced it, None where nothing did.

    release: set where finance released what stood after the version.
    """

    version: ConversionVersion
    before: Standing | None
    outcome: Applied
    term: TermV1 | None
    decisions: DecisionsV1 = NO_DECISIONS
    release: Release | None = None


async def write_posting(session: Session, applied: Sequence[AppliedVersion], *, now: datetime) -> int:
    """Write a batch; gives how many ledger transactions it posted. One posting, one block, or none.

    The block lock comes last: only the announcements, which carry the block's number, are written under it.
    """
    started = time.perf_counter()
    await insert_steps(session, [_step(each) for each in applied])
    await save_commissions(session, _commissions(applied))
    posted = [(each, posted) for each in applied for posted in each.outcome.posted]
    if not posted:
        return 0
    posting_id, transactions = new_id(), [each.transaction for _, each in posted]
    await insert_transactions(session, transactions, posting_id=posting_id)
    failpoint("commissions.after_entries_before_block")
    block = await seal_posting(session, transactions, posting_id=posting_id, now=now)
    await append(session, [_announcement(version, each, block) for version, each in posted])
    failpoint("commissions.after_block_before_commit")
    after_commit(session, lambda: _count([each for _, each in posted]))
    _tell_once_committed(session, posted, block, started)
    return len(transactions)


def _count(posted: Sequence[Posted]) -> None:
    for each in posted:
        kind = each.transaction.kind.value
        moved = abs(each.after.commission.amount_minor - each.before.commission.amount_minor)
        _transactions.labels(kind).inc()
        _moved.labels(kind, each.after.commission.currency).inc(moved)


def _tell_once_committed(
    session: Session, posted: Sequence[tuple[AppliedVersion, Posted]], block: Block, started: float
) -> None:
    """A log line and a span for each posting whose click's trace is kept."""
    for applied, each in posted:
        click_id = applied.version.event.click_id
        trace_id = "" if click_id is None else trace_id_of_click(click_id)
        if trace_id and keeps(trace_id):
            parent_id = span_id_of(applied.version.event.event_id)
            after_commit(session, partial(_tell, trace_id, parent_id, each, block, span_of_batch(), started))


def _tell(
    trace_id: str, parent_id: str, posted: Posted, block: Block, batch: Sequence[ClickTrace], started: float
) -> None:
    transaction = posted.transaction
    tell(
        "commission_posted",
        trace_id=trace_id,
        kind=transaction.kind.value,
        commission_id=str(transaction.commission_id),
        conversion_id=str(transaction.conversion_id),
        conversion_version=transaction.conversion_version,
        transaction_id=str(transaction.transaction_id),
        block_number=block.number,
    )
    span(
        "credit",
        trace_id=trace_id,
        span_id=span_id_of(transaction.transaction_id),
        parent_id=parent_id,
        seconds=time.perf_counter() - started,
        attributes={
            "tributary.kind": transaction.kind.value,
            "tributary.commission_id": str(transaction.commission_id),
            "tributary.block_number": block.number,
        },
        links=batch,
    )


def _step(applied: AppliedVersion) -> StepRow:
    event, before, after = applied.version.event, applied.before, applied.outcome.standing
    release = applied.release
    standing = after or before
    net_before = None if before is None else before.net
    transaction_ids = ",".join(str(posted.transaction.transaction_id) for posted in applied.outcome.posted)
    return StepRow(
        conversion_id=applied.version.conversion_id,
        version=event.version,
        commission_id=None if standing is None else applied.version.commission_id,
        merchant_id=event.merchant_id,
        affiliate_id=event.affiliate_id,
        event_id=event.event_id if release is None else release.event_id,
        change=event.change if release is None else "released",
        status=event.status,
        reason_code=event.reason_code if release is None else release.reason_code,
        net_before_minor=None if net_before is None else net_before.amount_minor,
        net_after_minor=None if event.net_amount is None else event.net_amount.amount_minor,
        commission_before_minor=0 if before is None else before.commission.amount_minor,
        commission_after_minor=0 if after is None else after.commission.amount_minor,
        margin_before_minor=0 if before is None else before.margin.amount_minor,
        margin_after_minor=0 if after is None else after.margin.amount_minor,
        currency=None if standing is None else standing.commission.currency,
        transaction_ids=f"{{{transaction_ids}}}",
        occurred_at=event.occurred_at if release is None else release.occurred_at,
        payload=applied.version.payload,
        n=0 if release is None else release.n,
        actor=None if release is None else release.actor,
        decisions="{}" if applied.decisions is NO_DECISIONS else _json(applied.decisions),
    )


def _commissions(applied: Sequence[AppliedVersion]) -> list[CommissionRow]:
    """One row a commission: as its last version in this batch leaves it, with the term that first priced it."""
    rows: dict[UUID, CommissionRow] = {}
    for each in applied:
        event, standing, conversion_id = each.version.event, each.outcome.standing, each.version.conversion_id
        if standing is None or event.affiliate_id is None or event.offer_id is None or event.offer_version is None:
            continue
        rows[conversion_id] = CommissionRow(
            commission_id=each.version.commission_id,
            conversion_id=conversion_id,
            affiliate_id=event.affiliate_id,
            merchant_id=event.merchant_id,
            offer_id=event.offer_id,
            offer_version=event.offer_version,
            conversion_event=event.conversion_event,
            term=_json(each.term) if each.term is not None else "{}",
            standing=standing,
            click_id=event.click_id,
            order_id=event.order_id,
            subs=_json(event.subs),
            aff_click_id=event.aff_click_id,
            recorded_at=rows[conversion_id].recorded_at if conversion_id in rows else event.occurred_at,
            changed_at=event.occurred_at if each.release is None else each.release.occurred_at,
        )
    return list(rows.values())


def _announcement(applied: AppliedVersion, posted: Posted, block: Block) -> OutgoingEvent:
    event, transaction, standing = applied.version.event, posted.transaction, applied.outcome.standing
    assert standing is not None, "a posting leaves something standing"
    assert applied.term is not None, "a posting was priced by a term"
    assert event.affiliate_id is not None, "a posting has an affiliate"
    assert event.offer_id is not None, "a posting has an offer"
    assert event.offer_version is not None, "a posting has an offer version"
    net_before = None if applied.before is None else applied.before.net
    word = CommissionPostedV1(
        event_id=derived_id(transaction.transaction_id, "posted"),
        occurred_at=transaction.occurred_at,
        transaction_id=str(transaction.transaction_id),
        kind=cast(PostingKindV1, transaction.kind.value),
        commission_id=str(transaction.commission_id),
        conversion_id=str(transaction.conversion_id),
        conversion_version=event.version,
        affiliate_id=event.affiliate_id,
        merchant_id=event.merchant_id,
        offer_id=event.offer_id,
        offer_version=event.offer_version,
        status=cast(PostedStatusV1, posted.status.value),
        term=applied.term,
        commission_before=_money(posted.before.commission),
        commission_after=_money(posted.after.commission),
        margin_before=_money(posted.before.margin),
        margin_after=_money(posted.after.margin),
        booked_at=block.booked_at,
        block_number=block.number,
        net_before=None if net_before is None else _money(net_before),
        net_after=event.net_amount,
        payable_at=standing.payable_at,
        order_id=event.order_id,
        click_id=event.click_id,
        reason_code=transaction.reason_code,
        subs=event.subs,
        aff_click_id=event.aff_click_id,
        decisions=applied.decisions,
        release_number=0 if applied.release is None else applied.release.n,
    )
    return OutgoingEvent(COMMISSIONS, str(event.affiliate_id).encode(), word.event_id, encode_event(word))


def _money(money: Money) -> MoneyV1:
    return MoneyV1(amount_minor=money.amount_minor, currency=money.currency)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
