"""Denials on their way into the audit chain: noted in memory, written in groups, never in a request's way.

A refused request waits for nothing. What is noted is in the chain about a quarter of a second later; a stop writes
what waits; kill -9 loses what was noted since. When the database is away, or a flood is faster than it, up to
WAITING_MAX wait; what comes on top is counted, and one entry says how many.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime
from itertools import islice
from typing import Final

from starlette.requests import Request

from shared.kernel.clock import Clock
from shared.kernel.ids import new_id
from shared.runtime.audit import ENTRIES_MAX, AuditEntry, append_entries, find_known_requests
from shared.runtime.audit_requests import Denial, denial_of
from shared.runtime.backoff import Outage, pause
from shared.runtime.database import Database, Session, sqlstate_of
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter, gauge
from shared.runtime.problem import Problem

GROUP_SECONDS: Final = 0.25
"""How long the first of a group waits for company."""

WAITING_MAX: Final = 10_000
"""About 10 MB. The limits at the door let one address fail ten times and then twice a minute, so this is a crowd."""

CLOSE_SECONDS: Final = 4.0
"""What a stop may take for the last groups; with the requests in hand it stays under a supervisor's 25 s."""

QUEUE_FULL_CODE: Final = "audit_queue_full"
_REFUSED_BY_THE_TABLE: Final = ("22", "23")

Exists = Callable[[Session, str, str], Awaitable[bool]]
"""Is there such an object, by type and id, whoever's it is?"""

_log = get_logger(__name__)
_fates = counter(
    "audit_denials",
    unit="entries",
    meaning="Denials by what became of them: written, ordinary (a 404 for what nobody has), "
    "summed_up (the queue was full: counted in one entry), lost (alarm)",
    labels=("fate",),
)
_waiting = gauge("audit_denials_waiting", unit="entries", meaning="Denials that are not in the audit chain yet")


class DenialLog:
    """The denials of one process. database: a role that may append, and read what `exists` asks for.

    `run` beside the requests writes; `close` after the last request writes the rest.
    """

    def __init__(self, database: Database, exists: Exists, clock: Clock, *, waiting_max: int = WAITING_MAX) -> None:
        self._database = database
        self._exists = exists
        self._clock = clock
        self._waiting_max = waiting_max
        self._denials: deque[Denial] = deque()
        self._overflow = 0
        self._summary: AuditEntry | None = None
        self._group_max = ENTRIES_MAX - 1
        self._is_uncertain = False
        self._wake = asyncio.Event()
        self._outage = Outage("audit of denials")

    @property
    def now(self) -> datetime:
        """The clock's instant, for whoever notes."""
        return self._clock.now()

    def note(self, denial: Denial) -> None:
        """Remember one; at once, whatever the database does."""
        if len(self._denials) < self._waiting_max:
            self._denials.append(denial)
            _waiting.set(len(self._denials))
        else:
            self._overflow += 1
        self._wake.set()

    async def run(self) -> None:
        """Write groups until cancelled."""
        never = asyncio.Event()
        while True:
            await self._wake.wait()
            await pause(GROUP_SECONDS, never)
            try:
                await self.write()
                self._outage.recovered()
            except Exception as fault:
                await self._outage.failed(fault, never)

    async def write(self) -> None:
        """Write everything that waits. Raises what the database raises; nothing is forgotten then."""
        while self._denials or self._overflow or self._summary:
            await self._write_group()
        self._wake.clear()

    async def close(self, *, timeout_seconds: float = CLOSE_SECONDS) -> None:
        """Write what waits, trying again within the time; says what is lost. Call when no request runs any more."""
        deadline = time.monotonic() + timeout_seconds
        while self._denials or self._overflow or self._summary:
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    await self.write()
            except Exception as fault:
                if time.monotonic() + 0.2 >= deadline:
                    self._give_up(fault)
                    return
                await asyncio.sleep(0.2)

    async def _write_group(self) -> None:
        group = list(islice(self._denials, self._group_max))
        if self._overflow and self._summary is None:
            self._summary, self._overflow = _summary_of(self._overflow, self._clock.now()), 0
        was_uncertain, self._is_uncertain = self._is_uncertain, True
        try:
            written = await self._append(group, check_known=was_uncertain)
        except Exception as fault:
            if not sqlstate_of(fault).startswith(_REFUSED_BY_THE_TABLE):
                raise
            self._set_apart(group, fault)
            return
        self._is_uncertain, self._group_max = False, ENTRIES_MAX - 1
        if self._summary is not None:
            _fates.labels("summed_up").inc(self._summary.occurrences)
            self._summary = None
        self._forget(len(group))
        _fates.labels("written").inc(written)
        _fates.labels("ordinary").inc(len(group) - written)

    async def _append(self, group: list[Denial], *, check_known: bool) -> int:
        """How many of the group are in the chain now, those from an earlier try whose answer was lost included."""
        async with self._database.transaction() as session:
            entries = await self._real_denials(session, group)
            written = len(entries)
            if self._summary is not None:
                entries.append(self._summary)
            if check_known and entries:
                known = await find_known_requests(session, [entry.request_id for entry in entries])
                entries = [entry for entry in entries if entry.request_id not in known]
            if entries:
                await append_entries(session, entries)
        return written

    async def _real_denials(self, session: Session, group: list[Denial]) -> list[AuditEntry]:
        """Without the 404s for what does not exist: nobody was kept from anything there."""
        asked: dict[tuple[str, str], bool] = {}
        entries = []
        for denial in group:
            entry = denial.entry
            if denial.only_if_foreign and entry.object_id is not None:
                thing = (entry.object_type, entry.object_id)
                if thing not in asked:
                    asked[thing] = await self._exists(session, *thing)
                if not asked[thing]:
                    continue
            entries.append(entry)
        return entries

    def _set_apart(self, group: list[Denial], fault: Exception) -> None:
        """One entry that the table refuses must not hold up the others: go on one by one, and drop that one."""
        if len(group) > 1:
            self._group_max = 1
            return
        _log.error("audit_denial_refused", sqlstate=sqlstate_of(fault))
        _fates.labels("lost").inc(len(group))
        self._forget(len(group))

    def _forget(self, count: int) -> None:
        for _ in range(count):
            self._denials.popleft()
        _waiting.set(len(self._denials))

    def _give_up(self, fault: Exception) -> None:
        lost = len(self._denials) + self._overflow + (self._summary.occurrences if self._summary else 0)
        _fates.labels("lost").inc(lost)
        _log.critical("audit_denials_lost_at_stop", denials=lost, reason=type(fault).__name__)


def note_refusal(request: Request, problem: Problem) -> None:
    """Note `problem` if it is a denial, in the log at `app.state.denials`; where there is none, nothing is noted."""
    denials: DenialLog | None = getattr(request.app.state, "denials", None)
    if denials is not None and (denial := denial_of(request, problem, now=denials.now)) is not None:
        denials.note(denial)


def _summary_of(occurrences: int, now: datetime) -> AuditEntry:
    return AuditEntry(
        occurred_at=now,
        role="nobody",
        key_id=None,
        merchant_id=None,
        affiliate_id=None,
        action="denials",
        object_type="audit",
        object_id=None,
        request_id=new_id().hex,
        outcome="denied",
        code=QUEUE_FULL_CODE,
        occurrences=occurrences,
    )
