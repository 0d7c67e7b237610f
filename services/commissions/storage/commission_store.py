"""Commissions, the steps that led to them, and conversions' versions that wait for their turn."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from services.commissions.domain.commission import CommissionStatus, Standing
from services.commissions.domain.terms import Price
from shared.contracts.commissions import GrantV1
from shared.kernel.money import Money
from shared.runtime.database import Session

_ARRIVAL_LOCK: Final = 0x7472_6962_6F66_7672
"""Held by whoever learns of offer versions and by whoever may park for want of one: neither misses the other."""


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """One version of a conversion that waits. reason: `version_gap`, `offer_version_missing` or `refused`."""

    conversion_id: UUID
    version: int
    payload: bytes
    reason: str
    offer_id: int | None
    offer_version: int | None


@dataclass(frozen=True, slots=True)
class CommissionRow:
    """A commission as it stands after a version. term: the contract's record of it, as JSON text."""

    commission_id: UUID
    conversion_id: UUID
    affiliate_id: int
    merchant_id: int
    offer_id: int
    offer_version: int
    conversion_event: str
    term: str
    standing: Standing
    click_id: str | None
    order_id: str | None
    subs: str
    aff_click_id: str | None
    recorded_at: datetime
    changed_at: datetime


@dataclass(frozen=True, slots=True)
class StepRow:
    """One applied version of a conversion, with what it changed. Amounts in minor units of `currency`.

    n, actor: 0 and None; from 1, and who, where finance released something after that version.
    """

    conversion_id: UUID
    version: int
    commission_id: UUID | None
    merchant_id: int
    affiliate_id: int | None
    event_id: UUID
    change: str
    status: str
    reason_code: str | None
    net_before_minor: int | None
    net_after_minor: int | None
    commission_before_minor: int
    commission_after_minor: int
    margin_before_minor: int
    margin_after_minor: int
    currency: str | None
    transaction_ids: str
    occurred_at: datetime
    payload: bytes
    decisions: str
    n: int
    actor: str | None


_GRANTS: Final = msgspec.json.Decoder(tuple[GrantV1, ...])
_STEP_TYPES: Final[Mapping[str, str]] = {
    "conversion_id": "uuid",
    "version": "int",
    "commission_id": "uuid",
    "merchant_id": "int",
    "affiliate_id": "int",
    "event_id": "uuid",
    "change": "text",
    "status": "text",
    "reason_code": "text",
    "net_before_minor": "bigint",
    "net_after_minor": "bigint",
    "commission_before_minor": "bigint",
    "commission_after_minor": "bigint",
    "margin_before_minor": "bigint",
    "margin_after_minor": "bigint",
    "currency": "text",
    "transaction_ids": "text",
    "occurred_at": "timestamptz",
    "payload": "bytea",
    "decisions": "text",
    "n": "smallint",
    "actor": "text",
}
_STEP_CASTS: Final[Mapping[str, str]] = {"transaction_ids": "uuid[]", "decisions": "jsonb"}
_INSERT_STEPS: Final = (
    f"INSERT INTO commission_step ({', '.join(_STEP_TYPES)}) SELECT "  # noqa: S608 (column names of our own)
    + ", ".join(f"{name}::{_STEP_CASTS[name]}" if name in _STEP_CASTS else name for name in _STEP_TYPES)
    + f" FROM unnest({', '.join(f'${n}::{kind}[]' for n, kind in enumerate(_STEP_TYPES.values(), start=1))})"
    + f" AS new ({', '.join(_STEP_TYPES)})"
)
_COMMISSION_TYPES: Final[Mapping[str, str]] = {
    "commission_id": "uuid",
    "conversion_id": "uuid",
    "affiliate_id": "int",
    "merchant_id": "int",
    "offer_id": "int",
    "offer_version": "int",
    "conversion_event": "text",
    "term": "text",
    "click_id": "text",
    "order_id": "text",
    "subs": "text",
    "aff_click_id": "text",
    "recorded_at": "timestamptz",
    "changed_at": "timestamptz",
    "status": "text",
    "net_minor": "bigint",
    "net_currency": "text",
    "currency": "text",
    "commission_minor": "bigint",
    "margin_minor": "bigint",
    "payable_at": "timestamptz",
    "accrual_id": "uuid",
    "grants": "text",
    "target_commission_minor": "bigint",
    "target_margin_minor": "bigint",
}
_CHANGING: Final = (
    "status", "net_minor", "net_currency", "commission_minor", "margin_minor", "payable_at", "accrual_id", "subs",
    "grants", "target_commission_minor", "target_margin_minor", "currency",
    "aff_click_id", "click_id", "order_id", "changed_at",
)  # fmt: skip
_UPSERT_COMMISSIONS: Final = (
    f"INSERT INTO commission ({', '.join(_COMMISSION_TYPES)}) SELECT "  # noqa: S608 (own column names)
    + ", ".join(f"{name}::jsonb" if name in ("term", "subs", "grants") else name for name in _COMMISSION_TYPES)
    + f" FROM unnest({', '.join(f'${n}::{kind}[]' for n, kind in enumerate(_COMMISSION_TYPES.values(), start=1))})"
    + f" AS new ({', '.join(_COMMISSION_TYPES)})"
    + " ON CONFLICT (commission_id) DO UPDATE SET "
    + ", ".join(f"{name} = excluded.{name}" for name in _CHANGING)
)


async def lock_offer_version_arrivals(session: Session) -> None:
    """Keep offer versions from arriving, or wait until those that are arriving have. Before any row lock."""
    connection = await session.connection()
    await connection.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (_ARRIVAL_LOCK,))


async def find_projected(session: Session, keys: Sequence[str]) -> dict[str, bytes]:
    """The stored catalogue events of `keys`, by key, as far as they have arrived."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT key, payload FROM projection_entry WHERE key = ANY ($1::text[])", (list(keys),)
    )
    return {row.key: row.payload for row in result}


async def lock_conversions(session: Session, conversion_ids: Iterable[UUID]) -> dict[UUID, int]:
    """Lock each conversion's row, made if need be, and give its last applied version (0: none). In id order."""
    ordered = sorted(set(conversion_ids))
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO applied_conversion (conversion_id, last_version, status)"
        " SELECT id, 0, 'new' FROM unnest($1::uuid[]) AS id ORDER BY id ON CONFLICT DO NOTHING",
        (ordered,),
    )
    result = await connection.exec_driver_sql(
        "SELECT conversion_id, last_version FROM applied_conversion WHERE conversion_id = ANY ($1::uuid[])"
        " ORDER BY conversion_id FOR UPDATE",
        (ordered,),
    )
    return {row.conversion_id: row.last_version for row in result}


async def find_standings(session: Session, conversion_ids: Sequence[UUID]) -> dict[UUID, Standing]:
    """What stands for each conversion that has a commission. Their conversions must be locked."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT conversion_id, affiliate_id, offer_id, offer_version, status, currency, commission_minor, margin_minor,"
        " net_minor, net_currency, payable_at, accrual_id, grants::text AS grants, target_commission_minor,"
        " target_margin_minor FROM commission WHERE conversion_id = ANY ($1::uuid[])",
        (list(conversion_ids),),
    )
    return {
        row.conversion_id: Standing(
            attribution=(row.affiliate_id, row.offer_id, row.offer_version),
            status=CommissionStatus(row.status),
            commission=Money(row.commission_minor, row.currency),
            margin=Money(row.margin_minor, row.currency),
            net=None if row.net_minor is None else Money(row.net_minor, row.net_currency),
            payable_at=row.payable_at,
            accrual_id=row.accrual_id,
            grants=read_grants(row.grants),
            target=read_target(row),
        )
        for row in result
    }


def read_grants(stored: str | None) -> tuple[GrantV1, ...]:
    """The column `grants`."""
    return () if stored is None else _GRANTS.decode(stored)


def read_target(row: Any) -> Price | None:
    """The withheld price of a row, in its currency."""
    if row.target_commission_minor is None:
        return None
    return Price(Money(row.target_commission_minor, row.currency), Money(row.target_margin_minor, row.currency))


async def find_applied_events(session: Session, versions: Sequence[tuple[UUID, int]]) -> dict[tuple[UUID, int], UUID]:
    """The event that brought each of these applied versions, by conversion and version."""
    if not versions:
        return {}
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT conversion_id, version, event_id FROM commission_step"
        " JOIN unnest($1::uuid[], $2::int[]) AS given (conversion_id, version) USING (conversion_id, version)"
        " WHERE n = 0",
        ([conversion_id for conversion_id, _ in versions], [version for _, version in versions]),
    )
    return {(row.conversion_id, row.version): row.event_id for row in result}


async def find_parked(session: Session, conversion_ids: Sequence[UUID]) -> list[ParkedRow]:
    """Every waiting version of these conversions."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT conversion_id, version, payload, reason, offer_id, offer_version FROM parked_event"
        " WHERE conversion_id = ANY ($1::uuid[])",
        (list(conversion_ids),),
    )
    return [
        ParkedRow(row.conversion_id, row.version, row.payload, row.reason, row.offer_id, row.offer_version)
        for row in result
    ]


async def find_waiting_for(session: Session, offer_versions: Sequence[tuple[int, int]]) -> list[UUID]:
    """Conversions with a version that waits for one of these (offer, version)."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT DISTINCT conversion_id FROM parked_event JOIN unnest($1::int[], $2::int[]) AS arrived (offer, version)"
        " ON offer_id = arrived.offer AND offer_version = arrived.version WHERE reason = 'offer_version_missing'",
        ([offer_id for offer_id, _ in offer_versions], [version for _, version in offer_versions]),
    )
    return [row.conversion_id for row in result]


async def count_parked(session: Session) -> dict[str, int]:
    """How many versions wait, by reason."""
    connection = await session.connection()
    result = await connection.exec_driver_sql("SELECT reason, count(*) AS waiting FROM parked_event GROUP BY reason")
    return {row.reason: row.waiting for row in result}


async def save_commissions(session: Session, rows: Sequence[CommissionRow]) -> None:
    """Insert new commissions and move the others to what stands now. One row a commission."""
    if not rows:
        return
    connection = await session.connection()
    await connection.exec_driver_sql(
        _UPSERT_COMMISSIONS,
        tuple(
            [[getattr(row, name) for row in rows] for name in list(_COMMISSION_TYPES)[:14]]
            + [
                [row.standing.status.value for row in rows],
                [None if row.standing.net is None else row.standing.net.amount_minor for row in rows],
                [None if row.standing.net is None else row.standing.net.currency for row in rows],
                [row.standing.commission.currency for row in rows],
                [row.standing.commission.amount_minor for row in rows],
                [row.standing.margin.amount_minor for row in rows],
                [row.standing.payable_at for row in rows],
                [row.standing.accrual_id for row in rows],
                [msgspec.json.encode(grants).decode() if (grants := row.standing.grants) else None for row in rows],
                [None if (target := row.standing.target) is None else target.commission.amount_minor for row in rows],
                [None if (target := row.standing.target) is None else target.margin.amount_minor for row in rows],
            ]
        ),
    )


async def insert_steps(session: Session, steps: Sequence[StepRow]) -> None:
    """Record applied versions and advance their conversions, whose rows must be locked."""
    if not steps:
        return
    connection = await session.connection()
    await connection.exec_driver_sql(
        _INSERT_STEPS, tuple([getattr(step, name) for step in steps] for name in _STEP_TYPES)
    )
    last = {step.conversion_id: step for step in sorted(steps, key=lambda step: step.version)}
    await connection.exec_driver_sql(
        "UPDATE applied_conversion SET last_version = new.version, status = new.status"
        " FROM unnest($1::uuid[], $2::int[], $3::text[]) AS new (id, version, status) WHERE conversion_id = new.id",
        (list(last), [step.version for step in last.values()], [step.status for step in last.values()]),
    )


async def replace_parked(
    session: Session, *, done: Sequence[tuple[UUID, int]], parked: Sequence[ParkedRow], now: datetime
) -> None:
    """Let go of versions that are done with, and keep those that wait (again)."""
    connection = await session.connection()
    if done:
        await connection.exec_driver_sql(
            "DELETE FROM parked_event USING unnest($1::uuid[], $2::int[]) AS done (id, version)"
            " WHERE conversion_id = done.id AND parked_event.version = done.version",
            ([conversion_id for conversion_id, _ in done], [version for _, version in done]),
        )
    if parked:
        await connection.exec_driver_sql(
            "INSERT INTO parked_event (conversion_id, version, payload, reason, offer_id, offer_version, parked_at)"
            " SELECT *, $7 FROM unnest($1::uuid[], $2::int[], $3::bytea[], $4::text[], $5::int[], $6::int[])"
            " ON CONFLICT (conversion_id, version) DO UPDATE SET reason = excluded.reason",
            (
                [row.conversion_id for row in parked],
                [row.version for row in parked],
                [row.payload for row in parked],
                [row.reason for row in parked],
                [row.offer_id for row in parked],
                [row.offer_version for row in parked],
                now,
            ),
        )
