"""Work on bulk jobs, a chunk in each transaction: its effects, its rows' outcomes, its audit entries and its position.

So a worker that dies has done a chunk or nothing of it, and the next goes on behind the last one. Jobs take turns. A
row that is refused stops nothing; a row is refused exactly as the same request alone would be.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from services.conversions.domain.bulk import MOVES, BulkAction, BulkRow, RowOutcome, RowResult
from services.conversions.domain.conversion import Actor, Change, Conversion
from services.conversions.domain.transitions import Status, TransitionRefused
from services.conversions.storage.bulk_store import (
    BulkJob,
    advance_job,
    find_ids_of_orders,
    lock_next_job,
    read_open_rows,
    record_results,
)
from services.conversions.storage.conversion_store import lock_by_ids
from services.conversions.usecases.audited import conversion_act
from services.conversions.usecases.change_conversion import (
    AdjustmentConflict,
    Requested,
    adjust_conversion,
    moved_change,
)
from services.conversions.usecases.find_target import ORDER_PREFIX
from services.conversions.usecases.record_changes import record_changes
from shared.kernel.clock import Clock
from shared.kernel.errors import InvalidValue
from shared.runtime.audit import Act, AuditEntry, append_entries
from shared.runtime.database import Session
from shared.runtime.failpoint import failpoint

CHUNK_ROWS: Final = 100
"""Rows of one transaction: its conversions stay locked for no longer than these take, and fit one audit statement."""

ACTION: Final = "POST /v1/conversions/bulk"
"""How the audit chain names what rows do: by the route that asked for them."""


class _RowRefused(Exception):
    """The row changes nothing, for this reason."""

    def __init__(self, code: str, field_name: str | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.field_name = field_name


async def work_bulk_jobs(session: Session, clock: Clock) -> int:
    """Do one chunk of the job whose turn it is; gives how many rows, 0 when there is no job."""
    job = await lock_next_job(session)
    if job is None:
        return 0
    rows = await read_open_rows(session, job, CHUNK_ROWS)
    chunk = _Chunk(session, job, clock.now(), await _lock_targets(session, job, rows))
    failpoint("bulk.before_rows")
    for row in rows:
        if row.fault is None:
            await chunk.do(row)
    await chunk.finish(next_row=rows[-1].number + 1)
    failpoint("bulk.before_commit")
    return len(rows)


async def _lock_targets(session: Session, job: BulkJob, rows: list[BulkRow]) -> dict[UUID, Conversion]:
    """Every conversion that the rows may mean and the job may change, locked in one order by id."""
    wanted = {UUID(row.ref) for row in rows if row.fault is None and not row.ref.startswith(ORDER_PREFIX)}
    if job.merchant_id is not None:
        orders = {row.ref.removeprefix(ORDER_PREFIX) for row in rows if row.ref.startswith(ORDER_PREFIX)}
        wanted.update(await find_ids_of_orders(session, job.merchant_id, orders))
    locked = await lock_by_ids(session, sorted(wanted)) if wanted else []
    return {one.id: one for one in locked if job.merchant_id in (None, one.merchant_id)}


@dataclass
class _Chunk:
    """The rows of one transaction. standing: each conversion after the rows so far. unwritten: its versions to come."""

    session: Session
    job: BulkJob
    now: datetime
    standing: dict[UUID, Conversion]
    unwritten: list[Change] = field(default_factory=list)
    results: list[RowResult] = field(default_factory=list)
    acts: list[Act] = field(default_factory=list)

    async def do(self, row: BulkRow) -> None:
        """Apply one row and note what became of it."""
        before: Conversion | None = None
        try:
            before = self._target(row)
            after = await self._apply(row, before)
        except _RowRefused as refusal:
            self._note(row, RowOutcome.REFUSED, before, refusal.code, refusal.field_name)
            return
        if after.version == before.version:
            self._note(row, RowOutcome.ALREADY, before)
            return
        self.standing[after.id] = after
        self.acts.append(conversion_act(before, after))
        self._note(row, RowOutcome.DONE, after)

    async def finish(self, *, next_row: int) -> None:
        """

        Write what is left, the outcomes and the position; the audit entries last, since they take the chain's lock.
        """
        await self._write()
        if self.results:
            await record_results(self.session, self.job, self.results)
        counts = Counter(result.outcome for result in self.results)
        await advance_job(self.session, self.job, next_row=next_row, counts=counts, now=self.now)
        if self.acts:
            await append_entries(self.session, [self._entry(act) for act in self.acts])

    def _target(self, row: BulkRow) -> Conversion:
        if row.ref.startswith(ORDER_PREFIX):
            order_id = row.ref.removeprefix(ORDER_PREFIX)
            meant = [one for one in self.standing.values() if one.order_id == order_id]
        else:
            meant = [one for one in (self.standing.get(UUID(row.ref)),) if one is not None]
        meant = [one for one in meant if row.event in (None, one.event)]
        if not meant:
            raise _RowRefused("conversion_not_found")
        if len(meant) > 1:
            raise _RowRefused("event_ambiguous", "event")
        if meant[0].status is Status.HELD and row.action is not BulkAction.ADJUST and self.job.role != "admin":
            raise _RowRefused("role_not_allowed")
        return meant[0]

    async def _apply(self, row: BulkRow, before: Conversion) -> Conversion:
        """The conversion after the row: the same one where it stood so already. Raises _RowRefused."""
        assert row.action is not None
        try:
            if row.action is BulkAction.ADJUST:
                return await self._adjust(row, before)
            action, target = MOVES[row.action]
            if before.status is target:
                return before
            change = moved_change(before, action, actor=self._actor, reason=row.reason, now=self.now)
        except TransitionRefused:
            raise _RowRefused("transition_refused") from None
        except AdjustmentConflict:
            raise _RowRefused("adjustment_conflict", "adjustment_id") from None
        except InvalidValue as fault:
            raise _RowRefused(fault.code, fault.field) from None
        self.unwritten.append(change)
        return change.after

    async def _adjust(self, row: BulkRow, before: Conversion) -> Conversion:
        assert row.adjustment_id is not None
        assert row.reason is not None
        await self._write()  # its versions come in order
        requested = Requested(
            adjustment_id=row.adjustment_id,
            reason_code=row.reason,
            new_amount=row.new_amount,
            refund_amount=row.refund_amount,
        )
        return await adjust_conversion(self.session, before, requested, actor=self._actor, now=self.now)

    async def _write(self) -> None:
        changes, self.unwritten = self.unwritten, []
        await record_changes(self.session, changes)

    @property
    def _actor(self) -> Actor:
        return Actor(self.job.role, self.job.key_id)

    def _note(
        self,
        row: BulkRow,
        outcome: RowOutcome,
        conversion: Conversion | None,
        code: str | None = None,
        field_name: str | None = None,
    ) -> None:
        self.results.append(
            RowResult(
                number=row.number,
                outcome=outcome,
                code=code,
                field=field_name,
                conversion_id=None if conversion is None else conversion.id,
                status=None if conversion is None else conversion.status.value,
            )
        )

    def _entry(self, act: Act) -> AuditEntry:
        return AuditEntry(
            occurred_at=self.now,
            role="admin" if self.job.role == "admin" else "merchant",
            key_id=self.job.key_id,
            merchant_id=self.job.merchant_id if self.job.role == "merchant" else None,
            affiliate_id=None,
            action=ACTION,
            object_type=act.object_type,
            object_id=act.object_id,
            before_hash=act.before,
            after_hash=act.after,
            request_id=self.job.id.hex,
        )
