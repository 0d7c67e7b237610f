"""The consumer: effect and position in one transaction, so that every event counts exactly once.

For each batch: the fence moves the position (or the batch is somebody else's and is dropped), the handler works in
the same transaction, it commits, and only then does the log hear of it. A batch that fails is halved until the
culprit stands alone; what can never succeed becomes a dead letter, in the transaction that moves the position past
it. Everything else is retried with back-off. Nothing is ever skipped.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Protocol

from sqlalchemy.ext.asyncio import AsyncSession

from shared.contracts.events import EventUndecodable
from shared.kernel.clock import Clock
from shared.runtime import dead_letter
from shared.runtime.backoff import Outage, pause
from shared.runtime.consumer_watch import ConsumerWatch, reaching_the_log
from shared.runtime.database import Database, forget_after_commit, is_connection_lost, sqlstate_of
from shared.runtime.event_log.interface import Batch, EventSource, Received, StatedStop
from shared.runtime.event_log.positions import Positions
from shared.runtime.failpoint import failpoint
from shared.runtime.fill import Fill
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter, gauge, histogram
from shared.runtime.tracing import batch_span

__all__ = ["Consumer", "Handler", "Received", "UnprocessableEvent"]

REPLAY_LOOK_SECONDS: Final = 1.0
"""How often a consumer looks for dead letters to replay, for positions that were reset, and, when it stopped at its
limit, whether it may go on."""

_DATA_EXCEPTION: Final = "22"
"""SQLSTATE class of values that PostgreSQL can never store: no retry helps."""

_log = get_logger(__name__)

_handled = counter("consumer_handled", unit="records", meaning="Events handled and committed", labels=["consumer"])
_dead = counter(
    "consumer_dead_letters", unit="records", meaning="Events set aside as dead letters", labels=["consumer"]
)
_retries = counter("consumer_failed", unit="batches", meaning="Batches abandoned and retried", labels=["consumer"])
_seconds = histogram("consumer_batch", unit="seconds", meaning="Fence to commit of one batch", labels=["consumer"])
_stopped = gauge("consumer_stopped", unit="flag", meaning="1 while a consumer refuses to go on", labels=["consumer"])


class UnprocessableEvent(Exception):
    """What a handler raises for an event that can never succeed; the text becomes the dead letter's reason."""


class Handler(Protocol):
    """A service's consumer door."""

    async def __call__(self, session: AsyncSession, batch: Sequence[Received]) -> None:
        """Do everything that `batch` asks for, in the given session only; it may come again, as a whole or in part.

        Raises: UnprocessableEvent (or EventUndecodable) for what can never succeed.
        """
        ...


class _FenceLost(Exception):
    """Another worker moved the position: the batch is not ours."""


class Consumer:
    """One consumer of one topic. `name` is its identity for ever: positions and dead letters are stored under it."""

    def __init__(
        self,
        *,
        name: str,
        topic: str,
        database: Database,
        source: EventSource,
        handler: Handler,
        clock: Clock,
        batch_size: int = 500,
        dead_letter_limit: int = 100,
    ) -> None:
        self.name = name
        self._database = database
        self._source = source
        self._handler = handler
        self._clock = clock
        self._batch_size = batch_size
        self._fill = Fill(f"batch of {name}", limit=batch_size)
        self._dead_letter_limit = dead_letter_limit
        self._positions = Positions(database=database, consumer=name, topic=topic, log_id=source.log_id)
        self._watch = ConsumerWatch(database=database, source=source, positions=self._positions)
        self._outage = Outage(name)
        self._stopping = asyncio.Event()
        self._stop_reason: str | None = None
        self._next_look = 0.0
        _stopped.labels(name).set(0)

    def stop(self) -> None:
        """Finish the batch in hand, commit it, and leave."""
        self._stopping.set()

    async def health(self) -> str | None:
        """Why this consumer does not get on, or None; a check for Health.add_check."""
        return self._stop_reason or (f"retrying after {self._outage.reason}" if self._outage.reason else None)

    async def run(self) -> None:
        """Consume until `stop`. Raises StatedStop when going on would lose something; the reason stays in `health`."""
        try:
            while not self._stopping.is_set():
                try:
                    with reaching_the_log(self.name):
                        await self._source.start(self._positions)
                    await self._consume()
                except StatedStop:
                    raise
                except Exception as error:
                    await self._source.stop()
                    await self._outage.failed(error, self._stopping)
        except StatedStop as stop:
            self._state_stop(str(stop))
            raise
        finally:
            await self._source.stop()

    async def _consume(self) -> None:
        while not self._stopping.is_set():
            if time.monotonic() >= self._next_look:
                await self._look_after_dead_letters()
                await self._source.recheck()
                await self._watch.look()
            if self._stop_reason is not None:
                await pause(REPLAY_LOOK_SECONDS, self._stopping)
                continue
            batch = await self._source.fetch(self._batch_size)
            if batch is None:
                self._outage.recovered()
                continue
            failpoint("consumer.after_fetch")
            await self._handle(batch)

    async def _handle(self, batch: Batch) -> None:
        """Handle one batch and tell the source; a failure that may pass is waited out here."""
        started = time.perf_counter()
        try:
            with batch_span(f"consume {self.name}", "consumer", (record.payload for record in batch.records)):
                await self._apply(batch)
        except _FenceLost:
            _log.info("position_moved_elsewhere", consumer=self.name, partition=batch.partition)
            await self._source.abandoned(batch)
        except Exception as error:
            _retries.labels(self.name).inc()
            await self._source.abandoned(batch)
            await self._outage.failed(error, self._stopping)
        else:
            failpoint("consumer.after_commit_before_offset")
            await self._source.committed(batch)
            failpoint("consumer.after_offset")
            _seconds.labels(self.name).observe(time.perf_counter() - started)
            self._outage.recovered()

    async def _apply(self, batch: Batch) -> None:
        try:
            await self._transact(batch)
        except _FenceLost:
            raise
        except Exception as error:
            if is_connection_lost(error):
                raise
            if len(batch.records) > 1:
                for half in _halves(batch):
                    await self._apply(half)
            elif _can_never_succeed(error):
                await self._set_aside(batch, _reason(error))
            else:
                raise

    async def _transact(self, batch: Batch) -> None:
        async with self._database.transaction() as session:
            await self._move(session, batch)
            failpoint("consumer.after_fence")
            await self._handler(session, batch.records)
            failpoint("consumer.before_commit")
        _handled.labels(self.name).inc(len(batch.records))
        self._fill.set(len(batch.records))

    async def _move(self, session: AsyncSession, batch: Batch) -> None:
        moved = await self._positions.move(
            session, partition=batch.partition, expected_offset=batch.expected_offset, end_offset=batch.end_offset
        )
        if not moved:
            raise _FenceLost

    async def _set_aside(self, batch: Batch, reason: str) -> None:
        async with self._database.transaction() as session:
            if await dead_letter.count_open(session, self.name) >= self._dead_letter_limit:
                self._state_stop(self._limit_reason())
                raise UnprocessableEvent(self._limit_reason())
            await self._move(session, batch)
            received = batch.records[0]
            await dead_letter.set_aside(
                session, consumer=self.name, received=received, reason=reason, now=self._clock.now()
            )
        _dead.labels(self.name).inc()
        _log.error(
            "event_set_aside",
            consumer=self.name,
            partition=received.partition,
            offset=received.offset,
            reason=reason,
        )

    async def _look_after_dead_letters(self) -> None:
        """Replay what was asked for; go on after a stop at the limit once there is room again."""
        self._next_look = time.monotonic() + REPLAY_LOOK_SECONDS
        while await self._replay_one():
            pass
        if self._stop_reason is None:
            return
        async with self._database.transaction() as session:
            open_letters = await dead_letter.count_open(session, self.name)
        if open_letters < self._dead_letter_limit:
            self._stop_reason = None
            _stopped.labels(self.name).set(0)
            _log.info("consumer_goes_on", consumer=self.name)

    async def _replay_one(self) -> bool:
        async with self._database.transaction() as session:
            letter = await dead_letter.take_requested(session, self.name)
            if letter is None:
                return False
            failure: str | None = None
            try:
                async with session.begin_nested():
                    await self._handler(session, [letter.received])
            except Exception as error:
                if is_connection_lost(error):
                    raise
                forget_after_commit(session)
                failure = _reason(error)
            now = self._clock.now()
            if failure is None:
                await dead_letter.mark_replayed(session, letter.dead_letter_id, now=now)
            else:
                await dead_letter.mark_failed_again(session, letter.dead_letter_id, reason=failure, now=now)
        _log.info("dead_letter_replayed", consumer=self.name, dead_letter=letter.dead_letter_id, failure=failure)
        return True

    def _limit_reason(self) -> str:
        return (
            f"{self._dead_letter_limit} dead letters are open: find the cause, and replay them with"
            " `tributary dead-letters` (deploy/runbooks/dead-letters.md); then the consumer goes on"
        )

    def _state_stop(self, reason: str) -> None:
        if self._stop_reason is None:
            _log.error("consumer_stopped", consumer=self.name, reason=reason)
        self._stop_reason = reason
        _stopped.labels(self.name).set(1)


def _halves(batch: Batch) -> tuple[Batch, Batch]:
    middle = len(batch.records) // 2
    first, second = batch.records[:middle], batch.records[middle:]
    border = first[-1].offset + 1
    return (
        Batch(batch.partition, batch.expected_offset, border, first),
        Batch(batch.partition, border, batch.end_offset, second),
    )


def _can_never_succeed(error: Exception) -> bool:
    return isinstance(error, (UnprocessableEvent, EventUndecodable)) or sqlstate_of(error).startswith(_DATA_EXCEPTION)


def _reason(error: Exception) -> str:
    if isinstance(error, (UnprocessableEvent, EventUndecodable)):
        return str(error)[:500] or type(error).__name__
    return f"{type(error).__name__} {sqlstate_of(error)}".strip()
