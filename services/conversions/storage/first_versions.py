"""The hot path's one statement: conversions whose key is free, each with its trail, its event and its receipt.

One statement for what would be four, since every round trip is paid by everybody in the group. What it writes to
the outbox is what shared.runtime.outbox.append writes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from services.conversions.domain.conversion import Conversion
from services.conversions.storage import conversion_rows as rows
from shared.contracts.topics import CONVERSIONS
from shared.runtime.database import Session
from shared.runtime.outbox import OutgoingEvent

_DERIVED: Final = {
    "version": "1",
    "first_outcome": "outcome",
    "first_status": "status",
    "changed_at": "first_received_at",
    "net_amount_minor": "order_amount_minor",
}
"""Columns that follow from others in a first version: encoding arrays is what a group costs most."""

_EXTRA: Final = {
    "steps": "text",
    "actor_kind": "text",
    "actor_key": "text",
    "event_key": "bytea",
    "event_id": "uuid",
    "payload": "bytea",
    "transport": "text",
    "request_id": "text",
    "http_status": "int",
    "reported_event": "text",
    "spelt_click_id": "text",
}
_GIVEN: Final = tuple(column for column in rows.ALL if column[0] not in _DERIVED)
_NAMES: Final = ", ".join(name for name, _, _ in rows.ALL)
_ARRAYS: Final = ", ".join(
    f"${place}::{'text' if kind == 'jsonb' else kind}[]"
    for place, kind in enumerate([*(kind for _, kind, _ in _GIVEN), *_EXTRA.values()], start=1)
)
_TOPIC: Final = f"${len(_GIVEN) + len(_EXTRA) + 1}::text"


def _value(name: str, kind: str) -> str:
    if name in _DERIVED:
        return _DERIVED[name]
    given = f"CASE WHEN is_erased THEN NULL ELSE {name} END" if name in rows.ERASED_NAMES else name
    return f"coalesce({given}, '{{}}')::jsonb" if kind == "jsonb" else given


_STATEMENT: Final = f"""
WITH given AS (
    SELECT *, customer_id IS NOT NULL AND EXISTS (SELECT FROM erased_customer AS erased
            WHERE erased.merchant_id = given.merchant_id AND erased.customer_id = given.customer_id)
        OR click_id IS NOT NULL AND EXISTS (SELECT FROM erased_click AS erased
            WHERE erased.click_id = given.click_id) AS is_erased
    FROM unnest({_ARRAYS})
        WITH ORDINALITY AS given({", ".join([*(name for name, _, _ in _GIVEN), *_EXTRA])}, place)
), made AS (
    INSERT INTO conversion ({_NAMES}) SELECT {", ".join(_value(name, kind) for name, kind, _ in rows.ALL)} FROM given
    ON CONFLICT (merchant_id, event, dedupe_key) DO NOTHING RETURNING id
), recorded AS (
    SELECT given.* FROM given JOIN made USING (id) ORDER BY place
), trail AS (
    INSERT INTO conversion_version (conversion_id, version, merchant_id, affiliate_id, at, change, status, outcome,
        actor_kind, actor_key, currency, net_amount_minor, steps)
    SELECT id, 1, merchant_id, affiliate_id, first_received_at, 'recorded', status, outcome, actor_kind, actor_key,
        currency, order_amount_minor, steps::jsonb FROM recorded
), events AS (
    INSERT INTO outbox (topic, key, event_id, payload) SELECT {_TOPIC}, event_key, event_id, payload FROM recorded
), receipts AS (
    INSERT INTO receipt (id, merchant_id, received_at, transport, credential_id, request_id, http_status, outcome,
        conversion_id, status, duplicate, event, order_id, click_id, errors)
    SELECT first_receipt_id, merchant_id, first_received_at, transport, actor_key, request_id, http_status, outcome,
        id, status, false, reported_event, order_id, spelt_click_id, '[]'::jsonb FROM recorded
)
SELECT id FROM made
"""  # noqa: S608  (names of our own modules only)


@dataclass(frozen=True, slots=True)
class FirstVersion:
    """A conversion's first version with everything that is written beside it. steps: JSON. event: of CONVERSIONS."""

    conversion: Conversion
    steps: str
    actor_kind: str
    actor_key: str | None
    event: OutgoingEvent
    transport: str
    request_id: str
    reported_event: str | None
    spelt_click_id: str | None


async def insert_first_versions(session: Session, firsts: Sequence[FirstVersion]) -> set[UUID]:
    """Insert those whose key is free; gives their ids. In key order, so that two groups never wait for each other."""
    if not firsts:
        return set()
    ordered = sorted(firsts, key=_key)
    conversions = [first.conversion for first in ordered]
    values: list[list[Any]] = [[read(conversion) for conversion in conversions] for _, _, read in _GIVEN]
    values += [
        [first.steps for first in ordered],
        [first.actor_kind for first in ordered],
        [first.actor_key for first in ordered],
        [first.event.key for first in ordered],
        [first.event.event_id for first in ordered],
        [first.event.payload for first in ordered],
        [first.transport for first in ordered],
        [first.request_id for first in ordered],
        [first.conversion.outcome.http_status for first in ordered],
        [first.reported_event for first in ordered],
        [first.spelt_click_id for first in ordered],
    ]
    connection = await session.connection()
    arrays = [None if all(value is None for value in column) else column for column in values]
    result = await connection.exec_driver_sql(_STATEMENT, (*arrays, CONVERSIONS))
    return {row[0] for row in result}


def _key(first: FirstVersion) -> tuple[int, str, str]:
    return first.conversion.merchant_id, first.conversion.event, first.conversion.dedupe_key
