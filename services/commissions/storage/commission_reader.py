"""Commissions, their steps and their postings, as the API shows them. Row-level security limits a tenant's reads."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

import orjson

from services.commissions.domain.commission import WITHHELD, CommissionStatus
from services.commissions.domain.terms import Price
from services.commissions.storage.commission_store import read_grants, read_target
from shared.contracts.commissions import GrantV1
from shared.kernel.money import Money
from shared.runtime.database import Session

_PAID: Final = (
    "(SELECT sum(part.amount_minor) FROM payout_part AS part JOIN payout_line AS line USING (run_id, affiliate_id)"
    " WHERE part.commission_id = commission.commission_id AND line.state IN ('exported', 'settled'))"
    " >= commission_minor"
)
"""All of a commission was paid out, and did not come back. Nobody but its affiliate and staff sees payouts."""

_COLUMNS: Final = (
    "commission_id, conversion_id, affiliate_id, merchant_id, offer_id, offer_version, conversion_event, status,"
    " term::text AS term, net_minor, net_currency, currency, commission_minor, margin_minor, payable_at, click_id,"
    " order_id, subs::text AS subs, aff_click_id, recorded_at, changed_at,"
    f" status = 'approved' AND coalesce({_PAID}, false) AS is_paid,"
    " grants::text AS grants, target_commission_minor, target_margin_minor"
)
_LIST: Final = f"""
    SELECT {_COLUMNS} FROM commission
    WHERE ($1::int IS NULL OR merchant_id = $1) AND ($2::int IS NULL OR affiliate_id = $2)
        AND ($3::int IS NULL OR offer_id = $3)
        AND ($4::text IS NULL
            OR status = CASE WHEN $4 IN ('payable', 'paid') THEN 'approved' ELSE $4 END
            AND ($4 <> 'payable' OR payable_at IS NULL OR payable_at <= $5)
            AND ($4 <> 'approved' OR payable_at > $5)
            AND ($4 NOT IN ('payable', 'paid') OR coalesce({_PAID}, false) = ($4 = 'paid')))
        AND ($6::timestamptz IS NULL OR recorded_at >= $6) AND ($7::timestamptz IS NULL OR recorded_at < $7)
        AND ($8::timestamptz IS NULL OR (recorded_at, commission_id) < ($8, $9::uuid))
    ORDER BY recorded_at DESC, commission_id DESC LIMIT $10
"""  # noqa: S608 (column names of our own)


@dataclass(frozen=True, slots=True)
class CommissionFilter:
    """Which commissions. Half-open `[from_at, to_at)` on recorded_at. before: (recorded_at, id) of the last one shown.

    status: `accrued`, `approved` (not payable yet), `payable`, `paid`, `reversed`, `over_cap` or `held`.
    """

    merchant_id: int | None = None
    affiliate_id: int | None = None
    offer_id: int | None = None
    status: str | None = None
    from_at: datetime | None = None
    to_at: datetime | None = None
    before: tuple[datetime, UUID] | None = None


@dataclass(frozen=True, slots=True)
class StoredCommission:
    """A commission as it stands. term: the contract's record of what prices it.

    target: the price that is withheld, None where nothing is, or where it is not known.
    """

    commission_id: UUID
    conversion_id: UUID
    affiliate_id: int
    merchant_id: int
    offer_id: int
    offer_version: int
    conversion_event: str
    status: CommissionStatus
    term: Mapping[str, Any]
    net: Money | None
    commission: Money
    margin: Money
    payable_at: datetime | None
    click_id: str | None
    order_id: str | None
    subs: Mapping[str, str]
    aff_click_id: str | None
    recorded_at: datetime
    changed_at: datetime
    is_paid: bool = False
    grants: Sequence[GrantV1] = ()
    target: Price | None = None

    @property
    def is_withheld(self) -> bool:
        """Whether something of it waits for finance."""
        return self.status in WITHHELD or self.target is not None

    def status_at(self, now: datetime) -> str:
        """`paid`, or `payable` for what is approved and whose payable_at has passed; the stored status otherwise."""
        if self.is_paid:
            return "paid"
        if self.status is CommissionStatus.APPROVED and (self.payable_at is None or self.payable_at <= now):
            return "payable"
        return self.status.value


@dataclass(frozen=True, slots=True)
class StoredStep:
    """One applied version, with amounts before and after. net: None where the conversion has no amount.

    payload: the event's bytes; decisions: JSON text. Both are its inputs.
    n: from 1 for a release after the version.
    """

    version: int
    change: str
    status: str
    reason_code: str | None
    net_before_minor: int | None
    net_after_minor: int | None
    commission_before_minor: int
    commission_after_minor: int
    margin_before_minor: int
    margin_after_minor: int
    transaction_ids: Sequence[UUID]
    occurred_at: datetime
    payload: bytes
    decisions: str
    n: int


@dataclass(frozen=True, slots=True)
class StoredPosting:
    """A ledger transaction of a commission and those of its entries that the reader may see: (account, minor)."""

    transaction_id: UUID
    kind: str
    version: int | None
    reason_code: str | None
    reverses: UUID | None
    occurred_at: datetime
    booked_at: datetime
    block_number: int
    currency: str
    entries: Sequence[tuple[str, int]]


async def list_stored(
    session: Session, wanted: CommissionFilter, *, now: datetime, limit: int
) -> list[StoredCommission]:
    """At most `limit`, newest first."""
    connection = await session.connection()
    before_at, before_id = wanted.before or (None, None)
    result = await connection.exec_driver_sql(
        _LIST,
        (
            wanted.merchant_id,
            wanted.affiliate_id,
            wanted.offer_id,
            wanted.status,
            now,
            wanted.from_at,
            wanted.to_at,
            before_at,
            before_id,
            limit,
        ),
    )
    return [_commission(row) for row in result]


async def find_stored(session: Session, commission_id: UUID) -> StoredCommission | None:
    """The commission, if it is there and the role may see it."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM commission WHERE commission_id = $1",  # noqa: S608 (column names of our own)
        (commission_id,),
    )
    row = result.one_or_none()
    return None if row is None else _commission(row)


async def find_steps(session: Session, conversion_id: UUID) -> list[StoredStep]:
    """Every applied version of a conversion, in order."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT version, change, status, reason_code, net_before_minor, net_after_minor, commission_before_minor,"
        " commission_after_minor, margin_before_minor, margin_after_minor, transaction_ids, occurred_at,"
        " payload, decisions::text, n"
        " FROM commission_step WHERE conversion_id = $1 ORDER BY version, n",
        (conversion_id,),
    )
    return [StoredStep(*cast(Sequence[Any], row)) for row in result]


async def find_postings(session: Session, commission_id: UUID) -> list[StoredPosting]:
    """Every ledger transaction of a commission that the role may see, in booked order."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT t.transaction_id, t.kind, t.conversion_version, t.reason_code, t.reverses, t.occurred_at,"
        " block.booked_at, block.number, min(e.currency)::text AS currency,"
        " array_agg(e.account ORDER BY e.n) AS accounts, array_agg(e.amount_minor ORDER BY e.n) AS amounts"
        " FROM ledger_transaction AS t JOIN ledger_entry AS e USING (transaction_id) JOIN block USING (posting_id)"
        " WHERE t.commission_id = $1 GROUP BY t.transaction_id, block.number"
        " ORDER BY block.number, t.conversion_version, t.kind, t.transaction_id",
        (commission_id,),
    )
    return [_posting(row) for row in result]


def _posting(row: Any) -> StoredPosting:
    return StoredPosting(
        transaction_id=row.transaction_id,
        kind=row.kind,
        version=row.conversion_version,
        reason_code=row.reason_code,
        reverses=row.reverses,
        occurred_at=row.occurred_at,
        booked_at=row.booked_at,
        block_number=row.number,
        currency=row.currency,
        entries=tuple(zip(row.accounts, row.amounts, strict=True)),
    )


def _commission(row: Any) -> StoredCommission:
    return StoredCommission(
        commission_id=row.commission_id,
        conversion_id=row.conversion_id,
        affiliate_id=row.affiliate_id,
        merchant_id=row.merchant_id,
        offer_id=row.offer_id,
        offer_version=row.offer_version,
        conversion_event=row.conversion_event,
        status=CommissionStatus(row.status),
        term=orjson.loads(row.term),
        net=None if row.net_minor is None else Money(row.net_minor, row.net_currency),
        commission=Money(row.commission_minor, row.currency),
        margin=Money(row.margin_minor, row.currency),
        payable_at=row.payable_at,
        click_id=row.click_id,
        order_id=row.order_id,
        subs=orjson.loads(row.subs),
        aff_click_id=row.aff_click_id,
        recorded_at=row.recorded_at,
        changed_at=row.changed_at,
        is_paid=row.is_paid,
        grants=read_grants(row.grants),
        target=read_target(row),
    )
