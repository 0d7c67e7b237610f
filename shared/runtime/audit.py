"""The audit chain: who did what, or was denied it. One chain a service, in the service's own database (ADR 0007).

    act = Act.of("offer", 7, offer_state, before, after)
    await record_act(session, Author.operator("tributary offers pause"), act, now=now)   # last in the transaction

An entry holds ids, hashes and codes, never a name, an address, a secret or a value of the state it vouches for.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final, Literal, TypeVar
from uuid import UUID

from shared.kernel.ids import new_id
from shared.runtime.database import Session

ENTRIES_MAX: Final = 200
"""One statement's entries: the chain's lock is held for no longer than these take."""

GENESIS_HASH: Final = bytes(32)
"""What the first entry names as the hash before it."""

Role = Literal["admin", "finance", "merchant", "affiliate", "operator", "nobody"]
"""Who: an API key's role; `operator` at the command line; `nobody` behind a key that opens nothing."""

Outcome = Literal["done", "denied"]

Thing = TypeVar("Thing")

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INSERT: Final = """
    INSERT INTO audit_entry (occurred_at, role, key_id, merchant_id, affiliate_id, action, object_type, object_id,
        before_hash, after_hash, request_id, outcome, code, occurrences)
    SELECT * FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::int[], $5::int[], $6::text[], $7::text[],
        $8::text[], $9::bytea[], $10::bytea[], $11::text[], $12::text[], $13::text[], $14::int[])
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One act. action: `POST /v1/offers/{offer_id}/pause` as the route table spells it, or a command of `tributary`.

    object_id: None where none was named, or where what was named may be somebody's words. before_hash, after_hash:
    `state_hash` of what was acted on; equal when nothing changed, None where there was or is no such thing. code: the
    refusal's stable code, None for done. occurrences: more than one only in the line that sums up what a full queue
    could not take.
    """

    occurred_at: datetime
    role: Role
    key_id: str | None
    merchant_id: int | None
    affiliate_id: int | None
    action: str
    object_type: str
    object_id: str | None
    request_id: str
    before_hash: bytes | None = None
    after_hash: bytes | None = None
    outcome: Outcome = "done"
    code: str | None = None
    occurrences: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Author:
    """Who is at it, and by what request or command. Fields: as of AuditEntry."""

    role: Role
    key_id: str | None = None
    merchant_id: int | None = None
    affiliate_id: int | None = None
    action: str
    request_id: str

    @classmethod
    def operator(cls, action: str) -> "Author":
        """Whoever may run commands here: the machine's own accounts and logs say who that was."""
        return cls(role="operator", action=action, request_id=new_id().hex)


@dataclass(frozen=True, slots=True)
class Act:
    """What a privileged write did. before: None for what did not exist. Equal hashes: it found all as asked for."""

    object_type: str
    object_id: str | None
    before: bytes | None
    after: bytes | None

    @classmethod
    def of(
        cls,
        object_type: str,
        object_id: object,
        state: Callable[[Thing], Mapping[str, Any]],
        before: Thing | None,
        after: Thing | None,
    ) -> "Act":
        """The act that led from `before` to `after`; `state` spells what decides, and nothing personal or secret."""
        return cls(
            object_type,
            str(object_id),
            None if before is None else state_hash(state(before)),
            None if after is None else state_hash(state(after)),
        )


def entry_hash(entry: AuditEntry, *, number: int, previous_hash: bytes) -> bytes:
    """The hash that the database gives `entry` at its place: SHA-256 over the hash before it and every field.

    Fields are written `length:text` in octets, `-` for none, with commas between: no two entries are written alike.
    """
    fields = (
        number,
        (entry.occurred_at - _EPOCH) // timedelta(microseconds=1),
        entry.role,
        entry.key_id,
        entry.merchant_id,
        entry.affiliate_id,
        entry.action,
        entry.object_type,
        entry.object_id,
        None if entry.before_hash is None else entry.before_hash.hex(),
        None if entry.after_hash is None else entry.after_hash.hex(),
        entry.request_id,
        entry.outcome,
        entry.code,
        entry.occurrences,
    )
    written = ",".join("-" if field is None else f"{len(str(field).encode())}:{field}" for field in fields)
    return hashlib.sha256(previous_hash + written.encode()).digest()


def state_hash(state: Mapping[str, Any]) -> bytes:
    """SHA-256 of a state's canonical spelling: JSON, keys sorted, instants in UTC to the microsecond.

    Give it what decides (status, amounts, ends), never a personal value or a secret: short texts can be guessed.
    Raises TypeError for a value without a canonical spelling.
    """
    spelt = json.dumps(state, sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_spell)
    return hashlib.sha256(spelt.encode("ascii")).digest()


def _spell(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Decimal):
        return format(value.normalize(), "f")
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no canonical spelling")


async def record_act(session: Session, author: Author, act: Act, *, now: datetime) -> None:
    """Append the one entry of a write, in the write's own transaction: last, since it takes the chain's lock."""
    entry = AuditEntry(
        occurred_at=now,
        role=author.role,
        key_id=author.key_id,
        merchant_id=author.merchant_id,
        affiliate_id=author.affiliate_id,
        action=author.action,
        object_type=act.object_type,
        object_id=act.object_id,
        before_hash=act.before,
        after_hash=act.after,
        request_id=author.request_id,
    )
    await append_entries(session, [entry])


async def append_entries(session: Session, entries: Sequence[AuditEntry]) -> None:
    """Append 1 to ENTRIES_MAX entries, in order, in the caller's transaction.

    Takes the chain's lock until the transaction ends: do it last, take no other lock after it.
    """
    if not 1 <= len(entries) <= ENTRIES_MAX:
        raise ValueError(f"append 1 to {ENTRIES_MAX} entries at a time")
    connection = await session.connection()
    await connection.exec_driver_sql(
        _INSERT,
        (
            [entry.occurred_at for entry in entries],
            [entry.role for entry in entries],
            [entry.key_id for entry in entries],
            [entry.merchant_id for entry in entries],
            [entry.affiliate_id for entry in entries],
            [entry.action for entry in entries],
            [entry.object_type for entry in entries],
            [entry.object_id for entry in entries],
            [entry.before_hash for entry in entries],
            [entry.after_hash for entry in entries],
            [entry.request_id for entry in entries],
            [entry.outcome for entry in entries],
            [entry.code for entry in entries],
            [entry.occurrences for entry in entries],
        ),
    )


async def find_known_requests(session: Session, request_ids: Sequence[str]) -> set[str]:
    """Which of these requests have an entry already. Needs a role that reads the chain."""
    connection = await session.connection()
    found = await connection.exec_driver_sql(
        "SELECT DISTINCT request_id FROM audit_entry WHERE request_id = ANY($1::text[])", (list(request_ids),)
    )
    return {str(row.request_id) for row in found}
