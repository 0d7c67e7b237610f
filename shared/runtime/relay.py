"""The relay: takes committed outbox rows to the log, in order, one relay at a time."""

import asyncio
import time
from typing import Final

from shared.runtime.backoff import Outage, pause
from shared.runtime.consumer_watch import no_word_of_the_log, reaching_the_log
from shared.runtime.database import Database
from shared.runtime.database_timeout import POLL_TIMEOUT_SECONDS
from shared.runtime.event_log.interface import Published, Publisher
from shared.runtime.event_log.waiting import IdleWait
from shared.runtime.failpoint import failpoint
from shared.runtime.fill import Fill
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter
from shared.runtime.outbox_watch import OutboxWatch
from shared.runtime.tracing import span_after_batch

BATCH_ROWS: Final = 2_000
"""Rows of one pass; one transaction holds them."""

PRUNE_EVERY_SECONDS: Final = 60.0
PRUNE_ROWS: Final = 5_000
"""Rows deleted in one transaction and partition: short locks, little to vacuum at a time."""

STANDBY_SECONDS: Final = 0.5
"""How long a second relay waits before it tries for the lock again."""

_RELAY_LOCK: Final = 7_406_230

_log = get_logger(__name__)

_published = counter("relay_published", unit="records", meaning="Outbox rows taken to the log", labels=["service"])
_parked = counter("relay_parked", unit="records", meaning="Outbox rows that no log could take", labels=["service"])


class Relay:
    """One service's relay. database: its `_worker` role. Several may run; one at a time works."""

    def __init__(
        self,
        *,
        database: Database,
        publisher: Publisher,
        service: str,
        prune_every_seconds: float = PRUNE_EVERY_SECONDS,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._service = service
        self._fill = Fill(f"relay batch of {service}", limit=BATCH_ROWS)
        self._prune_every_seconds = prune_every_seconds
        self._task = f"{service} relay"
        self._watch = OutboxWatch(service)
        self._outage = Outage(self._task)
        self._stopping = asyncio.Event()
        self._wait = IdleWait()

    def stop(self) -> None:
        """Finish the pass in hand and leave; what is left stays in the outbox."""
        self._stopping.set()

    async def health(self) -> str | None:
        """Why rows wait, or None; a check for Health.add_check."""
        return f"retrying after {self._outage.reason}" if self._outage.reason else None

    async def run(self) -> None:
        """Relay until `stop`, through the loss of the database or of the broker."""
        try:
            while not self._stopping.is_set():
                try:
                    await self._publisher.start()
                    await self._relay()
                except Exception as error:
                    await self._publisher.stop()
                    await self._outage.failed(error, self._stopping)
        finally:
            await self._publisher.stop()

    async def _relay(self) -> None:
        next_prune = time.monotonic()
        while not self._stopping.is_set():
            if time.monotonic() >= next_prune:
                await self._prune()
                next_prune = time.monotonic() + self._prune_every_seconds
            if not await self._has_pending():
                self._outage.recovered()
                no_word_of_the_log(self._task)
                await self._wait.idle()
                continue
            self._wait.busy()
            published = await self._pass()
            if published is None:
                no_word_of_the_log(self._task)
                await pause(STANDBY_SECONDS, self._stopping)
                continue
            with reaching_the_log(self._task):
                if published.failure is not None:
                    raise published.failure
            self._outage.recovered()

    async def _has_pending(self) -> bool:
        async with self._database.reading(within_seconds=POLL_TIMEOUT_SECONDS) as connection:
            result = await connection.exec_driver_sql(
                "SELECT extract(epoch FROM clock_timestamp() - created_at)::float8 FROM outbox"
                " WHERE published_at IS NULL AND parked_reason IS NULL ORDER BY id LIMIT 1"
            )
            age_seconds = result.scalar_one_or_none()
            await self._watch.look(connection)
        self._watch.show_oldest(age_seconds or 0.0)
        return age_seconds is not None

    async def _pass(self) -> Published | None:
        """Publish and mark one batch in one transaction, holding the relay's lock; None when another relay has it."""
        started = time.perf_counter()
        async with self._database.transaction() as session:
            connection = await session.connection()
            result = await connection.exec_driver_sql("SELECT pg_try_advisory_xact_lock($1)", (_RELAY_LOCK,))
            if not result.scalar_one():
                return None
            published = await self._publisher.publish(session, BATCH_ROWS)
        failpoint("relay.after_mark")
        _published.labels(self._service).inc(published.handled)
        self._fill.set(published.handled)
        span_after_batch(f"publish {self._service}", "producer", published.payloads, time.perf_counter() - started)
        if published.parked:
            _parked.labels(self._service).inc(published.parked)
            _log.error("outbox_rows_parked", service=self._service, rows=published.parked)
        return published

    async def _prune(self) -> None:
        while not self._stopping.is_set():
            async with self._database.transaction() as session:
                deleted = await self._publisher.prune(session, PRUNE_ROWS)
            if deleted == 0:
                return
