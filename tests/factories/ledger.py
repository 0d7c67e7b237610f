"""Looks at the ledger from outside: its dump, its balances, and what a handler makes of events."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from services.commissions.consumers.catalogue import CatalogueHandler
from services.commissions.consumers.conversions import ConversionsHandler
from services.commissions.usecases.find_offer_versions import OfferVersions
from shared.contracts.catalogue import AffiliateChangedV1, OfferVersionPublishedV1
from shared.contracts.conversions import ConversionChangedV1
from shared.runtime.database import Database
from tests.factories.commissions import received


class FixedClock:
    """A clock that a test sets."""

    def __init__(self, instant: datetime = datetime(2026, 11, 24, 8, tzinfo=UTC)) -> None:
        self.instant = instant

    def now(self) -> datetime:
        """What the test set."""
        return self.instant


class Desk:
    """The service's two event doors on one database, each batch in a transaction of its own."""

    def __init__(self, database: Database, clock: FixedClock | None = None) -> None:
        self.database = database
        self.clock = clock or FixedClock()
        offer_versions = OfferVersions()
        self._catalogue = CatalogueHandler(offer_versions, self.clock)
        self._conversions = ConversionsHandler(offer_versions, self.clock)

    async def publish(self, *events: OfferVersionPublishedV1 | AffiliateChangedV1) -> None:
        """Offer versions, or news of affiliates, arrive."""
        async with self.database.transaction() as session:
            await self._catalogue(session, [received(event) for event in events])

    async def convert(self, *events: ConversionChangedV1) -> None:
        """One batch of conversions' versions arrives."""
        async with self.database.transaction() as session:
            await self._conversions(session, [received(event) for event in events])


async def balances(database: Database, conversion_ids: Sequence[UUID]) -> dict[str, int]:
    """What stands on each account by these conversions, in minor units; empty accounts are left out."""
    rows = await query(
        database,
        "SELECT account, currency, sum(amount_minor)::bigint FROM ledger_entry"
        " JOIN ledger_transaction USING (transaction_id) WHERE conversion_id = ANY ($1::uuid[])"
        " GROUP BY account, currency HAVING sum(amount_minor) <> 0",
        list(conversion_ids),
    )
    return {f"{account} {currency}": int(str(amount)) for account, currency, amount in rows}


async def transactions_of(database: Database, conversion_ids: Sequence[UUID]) -> set[tuple[object, ...]]:
    """Each ledger transaction by (id, kind, occurred_at, entries): what a rebuild must give again (I5)."""
    rows = await query(
        database,
        "SELECT transaction_id, kind, occurred_at, reverses, string_agg(account || currency || amount_minor ||"
        " coalesce(payable_at::text, ''), ';' ORDER BY n) FROM ledger_transaction JOIN ledger_entry"
        " USING (transaction_id) WHERE conversion_id = ANY ($1::uuid[]) GROUP BY 1, 2, 3, 4",
        list(conversion_ids),
    )
    return set(rows)


async def ledger_sha256(database: Database) -> str:
    """SHA-256 of the ordered dump of blocks, transactions and entries."""
    digest = hashlib.sha256()
    for table, order in (
        ("block", "number"),
        ("ledger_transaction", "transaction_id"),
        ("ledger_entry", "transaction_id, n"),
    ):
        for row in await query(database, f"SELECT {table}::text FROM {table} ORDER BY {order}"):
            digest.update(str(row[0]).encode() + b"\n")
    return digest.hexdigest()


async def query(database: Database, statement: str, *arguments: object) -> list[tuple[object, ...]]:
    """Rows of one statement, as tuples."""
    async with database.reading() as connection:
        result = await connection.exec_driver_sql(statement, arguments)
        return [tuple(row) for row in result]
