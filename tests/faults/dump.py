"""A dump of the tables the checker wants, as plain values."""

from tests.faults.checker import Dump
from tests.faults.staged_platform import StagedPlatform


async def read_dump(platform: StagedPlatform) -> Dump:
    """What is stored now, of every network on the platform."""
    async with platform.database("clicks") as clicks:
        click_ids = [row[0] for row in await clicks.fetch("SELECT encode(click_id, 'hex') FROM click")]
    async with platform.database("commissions") as commissions:
        entries = await commissions.fetch(
            "SELECT transaction_id::text AS transaction_id, currency, amount_minor FROM ledger_entry"
        )
        credited = [row[0] for row in await commissions.fetch("SELECT conversion_id::text FROM commission")]
    async with platform.database("conversions") as conversions:
        known = [row[0] for row in await conversions.fetch("SELECT id::text FROM conversion")]
    return Dump(click_ids, [dict(row) for row in entries], credited, known)
