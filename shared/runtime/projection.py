"""The stored projection of a compacted topic: the last event of each key, in the service's own database.

A consumer writes it with `apply_projection`; every process that needs it in memory follows it with a
`ProjectionFollower`, which starts from the stored rows and so needs no log.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from shared.contracts.events import EventUndecodable
from shared.runtime.backoff import Outage, pause
from shared.runtime.database import Database
from shared.runtime.event_log.interface import Received
from shared.runtime.metrics import Watched, before_rendering, gauge

POLL_SECONDS: Final = 0.1

RECOUNT_SECONDS: Final = 10.0
"""How often a follower compares what it has seen with all that is stored: a replayed dead letter comes in behind it."""

_age = gauge(
    "catalogue_age", unit="seconds", meaning="Since this process last compared its catalogue with what is stored"
)
_entries = gauge("catalogue", unit="entries", meaning="Offers, versions, enrolments, parties in memory")
_watched: "Watched[ProjectionFollower]" = Watched()

_NOTHING_SEEN: Final = -2
"""Before every offset, and before the -1 of a rewound entry."""

_UPSERT: Final = """
    INSERT INTO projection_entry (key, event_type, payload, changed_offset)
    SELECT * FROM unnest($1::text[], $2::text[], $3::bytea[], $4::bigint[])
    ON CONFLICT (key) DO UPDATE SET event_type = excluded.event_type, payload = excluded.payload,
        changed_offset = excluded.changed_offset
    WHERE excluded.changed_offset >= projection_entry.changed_offset
"""


class _Typed(msgspec.Struct):
    type: str


_type_decoder = msgspec.json.Decoder(_Typed)


async def apply_projection(session: AsyncSession, batch: Sequence[Received]) -> None:
    """Keep the last event of each key. Replay changes nothing: an older offset never replaces a newer one.

    Raises: EventUndecodable for an event without a text key or without a `type`.
    """
    last = {_key_of(received): (_type_of(received.payload), received) for received in batch}
    connection = await session.connection()
    await connection.exec_driver_sql(
        _UPSERT,
        (
            list(last),
            [event_type for event_type, _ in last.values()],
            [received.payload for _, received in last.values()],
            [received.offset for _, received in last.values()],
        ),
    )


def _key_of(received: Received) -> str:
    try:
        key = (received.key or b"").decode()
    except UnicodeDecodeError:
        key = ""
    if not key or "\0" in key:
        raise EventUndecodable("the key of a projected event is text")
    return key


def _type_of(payload: bytes) -> str:
    try:
        return _type_decoder.decode(payload).type
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise EventUndecodable("a projected event is a JSON object with a type") from None


class ProjectionFollower:
    """Keeps a process's memory in step with the stored projection.

    on_change(key, payload) is called for each entry, first for all of them in `load`, then as they change. It must
    not block; what it raises is logged and the entry tried again. is_loaded: every stored entry was handed over once.
    """

    def __init__(
        self,
        database: Database,
        on_change: Callable[[str, bytes], None],
        *,
        poll_seconds: float = POLL_SECONDS,
        recount_seconds: float = RECOUNT_SECONDS,
    ) -> None:
        self._database = database
        self._on_change = on_change
        self._poll_seconds = poll_seconds
        self._recount_seconds = recount_seconds
        self._next_recount = 0.0
        self._seen_offset = _NOTHING_SEEN
        self._offsets: dict[str, int] = {}
        self._offsets_sum = 0
        self.is_loaded = False
        self._outage = Outage("projection follower")
        self._stopping = asyncio.Event()
        self._compared_seconds = time.monotonic()
        _watched.add(self)

    @property
    def age_seconds(self) -> float:
        """Since the memory was last compared with the stored projection, or since the start before that."""
        return time.monotonic() - self._compared_seconds

    @property
    def entries(self) -> int:
        """How many entries were handed over."""
        return len(self._offsets)

    async def load(self) -> None:
        """Hand over every stored entry; from now on only changes."""
        self._seen_offset = _NOTHING_SEEN
        await self._poll()

    async def run(self) -> None:
        """Load, however long the database takes to come up, then follow until `stop`.

        Through a loss of the database the memory keeps what it has.
        """
        while not self._stopping.is_set():
            try:
                await self._poll()
            except Exception as error:
                await self._outage.failed(error, self._stopping)
            else:
                self._outage.recovered()
                await pause(self._poll_seconds, self._stopping)

    def stop(self) -> None:
        """Leave `run`."""
        self._stopping.set()

    async def check_loaded(self) -> str | None:
        """Why the process cannot work yet, or None; a check for Health.add_check. Being behind is no reason."""
        return None if self.is_loaded else "the stored projection has not been read yet"

    async def health(self) -> str | None:
        """Why the memory may be behind, or None; a check for Health.add_check."""
        return f"projection is behind: {self._outage.reason}" if self._outage.reason else None

    async def _poll(self) -> None:
        async with self._database.reading() as connection:
            result = await connection.exec_driver_sql("SELECT max(changed_offset) FROM projection_entry")
            newest = result.scalar_one()
            if newest is not None and newest < self._seen_offset:
                self._seen_offset = _NOTHING_SEEN  # rewound: another log begins at small offsets again
            if newest is not None and newest != self._seen_offset:
                await self._read_on(connection)
            elif time.monotonic() >= self._next_recount:
                self._next_recount = time.monotonic() + self._recount_seconds
                if await self._has_missed(connection):
                    self._seen_offset = _NOTHING_SEEN
                    await self._read_on(connection)
        self.is_loaded = True
        self._compared_seconds = time.monotonic()

    async def _read_on(self, connection: AsyncConnection) -> None:
        rows = await connection.exec_driver_sql(
            "SELECT key, payload, changed_offset FROM projection_entry WHERE changed_offset > $1"
            " ORDER BY changed_offset",
            (self._seen_offset,),
        )
        for row in rows:
            self._on_change(row.key, row.payload)
            self._offsets_sum += row.changed_offset - self._offsets.get(row.key, 0)
            self._offsets[row.key] = self._seen_offset = row.changed_offset

    async def _has_missed(self, connection: AsyncConnection) -> bool:
        """True when an entry changed at an offset before the newest one seen, as a replayed dead letter's does."""
        result = await connection.exec_driver_sql(
            "SELECT max(changed_offset) AS newest, count(*) AS entries,"
            " coalesce(sum(changed_offset), 0)::bigint AS offsets_sum FROM projection_entry"
        )
        row = result.one()
        seen = (len(self._offsets), self._offsets_sum)
        return bool(row.newest == self._seen_offset and (row.entries, row.offsets_sum) != seen)


@before_rendering
def _show_catalogue() -> None:
    for follower in _watched:
        _age.set(follower.age_seconds)
        _entries.set(follower.entries)


async def rewind_projection(session: AsyncSession) -> None:
    """Let a replay from another log win over what is stored, whose offsets mean nothing there. Entries stay usable."""
    connection = await session.connection()
    await connection.exec_driver_sql("UPDATE projection_entry SET changed_offset = -1")
