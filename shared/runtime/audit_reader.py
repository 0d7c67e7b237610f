"""Reading the audit chain, and proving it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row

from shared.runtime.audit import GENESIS_HASH, AuditEntry, Outcome, Role, entry_hash
from shared.runtime.database import Session

VERIFY_BATCH: Final = 5_000
_FIELDS: Final = ", ".join(AuditEntry.__slots__)


@dataclass(frozen=True, slots=True)
class ChainedEntry:
    """An entry at its place."""

    number: int
    previous_hash: bytes
    hash: bytes
    entry: AuditEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """Which entries; None: any. from_at, to_at: half-open `[from_at, to_at)`. before: only numbers below this one."""

    role: Role | None = None
    key_id: str | None = None
    merchant_id: int | None = None
    affiliate_id: int | None = None
    action: str | None = None
    object_type: str | None = None
    object_id: str | None = None
    request_id: str | None = None
    outcome: Outcome | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    before: int | None = None


_CONDITIONS: Final = {
    **{
        name: f"{name} = ${{place}}"
        for name in (
            "role",
            "key_id",
            "merchant_id",
            "affiliate_id",
            "action",
            "object_type",
            "object_id",
            "request_id",
            "outcome",
        )
    },
    "from_at": "occurred_at >= ${place}",
    "to_at": "occurred_at < ${place}",
    "before": "number < ${place}",
}


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain; number 0 and the genesis hash while it is empty."""

    number: int
    hash: bytes


class ChainBroken(Exception):
    """The chain is not what was written. number: the first entry that shows it."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"audit entry {number}: {reason}")
        self.number = number
        self.reason = reason


async def list_entries(session: Session, wanted: EntryFilter, *, limit: int) -> list[ChainedEntry]:
    """Up to `limit` entries, newest first."""
    conditions, parameters = [], []
    for name, condition in _CONDITIONS.items():
        value = getattr(wanted, name)
        if value is not None:
            parameters.append(value)
            conditions.append(condition.format(place=len(parameters)))
    where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
    parameters.append(limit)
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT number, previous_hash, hash, {_FIELDS} FROM audit_entry {where}"  # noqa: S608 - names of this module
        f" ORDER BY number DESC LIMIT ${len(parameters)}",
        tuple(parameters),
    )
    return [_read(row) for row in result]


async def verify_chain(session: Session, *, anchor: Head | None = None) -> Head:
    """Read the whole chain and prove it; gives its end. Raises ChainBroken with the first bad entry.

    Found: any edit, a missing, doubled, swapped or inserted entry, and entries cut off the end, unless whoever cut
    also rewrote `audit_head`, or wrote the chain anew from some point on. Against those: `anchor`, an end of this
    chain kept elsewhere since an earlier proof. Reads one snapshot; entries may go on being appended meanwhile.
    """
    connection = await session.connection()
    await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    stored = (await connection.exec_driver_sql("SELECT number, hash FROM audit_head")).one_or_none()
    last = Head(0, GENESIS_HASH)
    async for found in _every_entry(session):
        last = _follow(last, found)
        if anchor is not None and anchor.number == last.number and anchor.hash != last.hash:
            raise ChainBroken(last.number, "is not the entry that was there when the anchor was taken")
    if stored is None:
        raise ChainBroken(last.number, "the chain's head is gone")
    if (stored.number, bytes(stored.hash)) != (last.number, last.hash):
        raise ChainBroken(last.number + 1, f"the head is at {stored.number}: entries are missing at the end")
    if anchor is not None and anchor.number > last.number:
        raise ChainBroken(last.number + 1, f"the anchor is at {anchor.number}: entries are missing at the end")
    return last


def _follow(last: Head, found: ChainedEntry) -> Head:
    if found.number != last.number + 1:
        raise ChainBroken(last.number + 1, "is missing")
    if found.previous_hash != last.hash:
        raise ChainBroken(found.number, "does not follow the entry before it")
    if found.hash != entry_hash(found.entry, number=found.number, previous_hash=last.hash):
        raise ChainBroken(found.number, "its content is not what its hash says")
    return Head(found.number, found.hash)


async def _every_entry(session: Session) -> AsyncIterator[ChainedEntry]:
    connection = await session.connection()
    after = -(2**63)
    while True:
        result = await connection.exec_driver_sql(
            f"SELECT number, previous_hash, hash, {_FIELDS} FROM audit_entry WHERE number > $1"  # noqa: S608
            " ORDER BY number LIMIT $2",
            (after, VERIFY_BATCH),
        )
        rows = [_read(row) for row in result]
        for row in rows:
            yield row
        if len(rows) < VERIFY_BATCH:
            return
        after = rows[-1].number


def _read(row: Row[Any]) -> ChainedEntry:
    entry = AuditEntry(**{name: getattr(row, name) for name in AuditEntry.__slots__})
    return ChainedEntry(row.number, bytes(row.previous_hash), bytes(row.hash), entry)
