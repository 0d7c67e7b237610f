"""Customers and the affiliates that own them, one an offer, by the first credited order."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from shared.runtime.database import Session

CustomerKey = tuple[int, str]
"""merchant, and what stands for its customer."""


@dataclass(frozen=True, slots=True)
class OwnershipRow:
    """One offer's owner of a customer. conversion_id, first_at: of the first credited order, and of its receipt."""

    conversion_id: UUID
    merchant_id: int
    customer_id: str
    offer_id: int
    offer_version: int
    affiliate_id: int
    first_at: datetime


_FIND = """
SELECT given.merchant_id, given.customer_id, conversion_id, offer_id, offer_version, affiliate_id, first_at,
    EXISTS (SELECT FROM erased_customer AS erased WHERE erased.merchant_id = given.merchant_id
        AND erased.customer_id = given.customer_id) AS is_erased
FROM unnest($1::int[], $2::text[]) AS given(merchant_id, customer_id)
LEFT JOIN customer_ownership AS owned USING (merchant_id, customer_id)
"""
_CLAIM = """
INSERT INTO customer_ownership
    (conversion_id, merchant_id, customer_id, offer_id, offer_version, affiliate_id, first_at)
SELECT * FROM unnest($1::uuid[], $2::int[], $3::text[], $4::int[], $5::int[], $6::int[], $7::timestamptz[])
ON CONFLICT (merchant_id, customer_id, offer_id) DO NOTHING RETURNING conversion_id
"""


async def find_ownerships(
    session: Session, customers: Collection[CustomerKey]
) -> tuple[list[OwnershipRow], set[CustomerKey]]:
    """What is known of these customers, and those of them that are erased, whom nobody may own."""
    ordered = sorted(customers)
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        _FIND, ([merchant for merchant, _ in ordered], [customer for _, customer in ordered])
    )
    found, erased = [], set()
    for row in result.mappings():
        if row["is_erased"]:
            erased.add((row["merchant_id"], row["customer_id"]))
        elif row["conversion_id"] is not None:
            found.append(OwnershipRow(**{name: row[name] for name in OwnershipRow.__slots__}))
    return found, erased


async def claim_customers(session: Session, claims: Sequence[OwnershipRow]) -> set[UUID]:
    """Make these the owners where nobody is; gives the conversions of those that are now.

    The unique key decides between two at once: the second waits for the first to commit. In key order, so that two
    groups never wait for each other.
    """
    ordered = sorted(claims, key=lambda claim: (claim.merchant_id, claim.customer_id, claim.offer_id))
    columns = tuple([getattr(claim, name) for claim in ordered] for name in OwnershipRow.__slots__)
    connection = await session.connection()
    result = await connection.exec_driver_sql(_CLAIM, columns)
    return {row.conversion_id for row in result}


async def forget_customer(session: Session, *, merchant_id: int, customer_id: str) -> None:
    """Take the customer out of its ownerships: what was credited by them stays, and nothing more will be."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE customer_ownership SET customer_id = NULL WHERE merchant_id = $1 AND customer_id = $2",
        (merchant_id, customer_id),
    )


async def forget_customers_of_clicks(session: Session, click_ids: Collection[bytes]) -> None:
    """The same for the customers whose first order came by one of these clicks."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "UPDATE customer_ownership SET customer_id = NULL FROM conversion"
        " WHERE conversion.id = conversion_id AND conversion.click_id = ANY ($1::bytea[])"
        " AND customer_ownership.customer_id IS NOT NULL",
        (list(click_ids),),
    )
