"""`python -m services.commissions.verify [--recompute]`: prove the ledger, or name its first bad row.

Exit code 0: proved. 1: broken, and the line says where. 2: could not be looked at.
"""

import asyncio
import sys
from collections.abc import Sequence
from typing import Final

from services.commissions.settings import CommissionsSettings
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.recompute_ledger import recompute_ledger
from services.commissions.usecases.verify_ledger import LedgerBroken, verify_ledger
from shared.runtime.database import Database

STATEMENT_TIMEOUT_MS: Final = 600_000
"""Sums over the whole ledger take longer than a request may."""


async def verify(database: Database, *, recompute: bool) -> str:
    """What was proved, in one line. Raises LedgerBroken. Reads one snapshot: postings may go on meanwhile."""
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        proof = await verify_ledger(session)
        line = f"ledger proved: {proof.blocks} blocks, {proof.transactions} transactions, {proof.entries} entries"
        if recompute:
            line += f"; {await recompute_ledger(session, OfferVersions())} versions repriced from their inputs"
    return line


async def _run(settings: CommissionsSettings, *, recompute: bool) -> str:
    database = Database(
        settings.database_url("commissions"),
        role="commissions_staff",
        pool_size=1,
        name="commissions-verify",
        statement_timeout_ms=STATEMENT_TIMEOUT_MS,
    )
    try:
        return await verify(database, recompute=recompute)
    finally:
        await database.close()


def main(arguments: Sequence[str]) -> int:
    """Verify the database of DATABASE_URL_COMMISSIONS."""
    if [argument for argument in arguments if argument != "--recompute"]:
        sys.stderr.write("usage: python -m services.commissions.verify [--recompute]\n")
        return 2
    try:
        line = asyncio.run(_run(CommissionsSettings(), recompute="--recompute" in arguments))
    except LedgerBroken as broken:
        sys.stdout.write(f"ledger broken: {broken}\n")
        return 1
    except Exception as fault:
        sys.stderr.write(f"the ledger could not be looked at: {type(fault).__name__}\n")
        return 2
    sys.stdout.write(f"{line}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
