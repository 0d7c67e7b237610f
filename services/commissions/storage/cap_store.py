"""What is reserved under each cap, by cap, party and period. Its row locks make every reservation atomic."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.commissions.domain.caps import CapKey
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class CapUsage:
    """Minor units, or conversions. reserved: granted, and standing. released: let through by finance, beside it."""

    reserved: int = 0
    released: int = 0


@dataclass(frozen=True, slots=True)
class CapRow:
    """A cap's row before its first use."""

    key: CapKey
    merchant_id: int


@dataclass(frozen=True, slots=True)
class CapFilter:
    """Which usages of an offer. after: the key of the last one shown."""

    offer_id: int
    affiliate_id: int | None = None
    name: str | None = None
    period: str | None = None
    after: str = ""


async def list_usages(session: Session, wanted: CapFilter, *, limit: int) -> list[tuple[CapKey, CapUsage]]:
    """At most `limit`, by key."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT key, reserved, released FROM cap_usage WHERE offer_id = $1"
        " AND ($2::int IS NULL OR affiliate_id = $2) AND ($3::text IS NULL OR name = $3)"
        " AND ($4::text IS NULL OR period = $4) AND key > $5 ORDER BY key LIMIT $6",
        (wanted.offer_id, wanted.affiliate_id, wanted.name, wanted.period, wanted.after, limit),
    )
    return [(CapKey.of(row.key), CapUsage(row.reserved, row.released)) for row in result]


async def lock_caps(session: Session, rows: Sequence[CapRow], keys: Sequence[str]) -> dict[str, CapUsage]:
    """Lock what `rows` and `keys` (of rows that exist) name, made if need be, and give what each holds. In key order.

    After the conversions' locks, before the block's. Two statements, whatever the batch.
    """
    connection = await session.connection()
    new = sorted(rows, key=lambda row: str(row.key))
    if new:
        await connection.exec_driver_sql(
            "INSERT INTO cap_usage (key, offer_id, merchant_id, affiliate_id, period, currency, name)"
            " SELECT * FROM unnest($1::text[], $2::int[], $3::int[], $4::int[], $5::text[], $6::text[], $7::text[])"
            " ON CONFLICT (key) DO NOTHING",
            (
                [str(row.key) for row in new],
                [row.key.offer_id for row in new],
                [row.merchant_id for row in new],
                [row.key.affiliate_id for row in new],
                [row.key.period for row in new],
                [row.key.currency for row in new],
                [row.key.name for row in new],
            ),
        )
    result = await connection.exec_driver_sql(
        "SELECT key, reserved, released FROM cap_usage WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE",
        (sorted({str(row.key) for row in new} | set(keys)),),
    )
    return {row.key: CapUsage(row.reserved, row.released) for row in result}


async def save_caps(session: Session, usages: Mapping[str, CapUsage]) -> None:
    """Write what these caps hold now. Their rows must be locked."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE cap_usage SET reserved = new.reserved, released = new.released"
        " FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS new (key, reserved, released)"
        " WHERE cap_usage.key = new.key",
        (
            list(usages),
            [usage.reserved for usage in usages.values()],
            [usage.released for usage in usages.values()],
        ),
    )


async def find_usage_unlike_its_grants(session: Session) -> str | None:
    """A cap whose usage is not the sum of what commissions hold under it; None where all is well."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        "SELECT coalesce(cap_usage.key, held.key) FROM cap_usage FULL JOIN ("
        "   SELECT one ->> 'key' AS key, coalesce(sum(number) FILTER (WHERE NOT freed), 0) AS reserved,"
        "     coalesce(sum(number) FILTER (WHERE freed), 0) AS released FROM commission,"
        "     jsonb_array_elements(grants) AS one,"
        "     LATERAL (SELECT coalesce((one -> 'amount' ->> 'amount_minor')::bigint, (one ->> 'count')::bigint, 0)"
        "       AS number, coalesce((one ->> 'is_released')::boolean, false) AS freed) AS of_one"
        "   WHERE grants IS NOT NULL GROUP BY 1"
        " ) AS held ON held.key = cap_usage.key"
        " WHERE (coalesce(held.reserved, 0), coalesce(held.released, 0))"
        "   IS DISTINCT FROM (cap_usage.reserved, cap_usage.released) ORDER BY 1 LIMIT 1"
    )
    found: str | None = result.scalar_one_or_none()
    return found
