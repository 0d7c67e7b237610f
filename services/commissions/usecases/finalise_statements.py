"""Number the statements of every closed period, oldest first: one for each party and currency with bookings in it."""

from datetime import datetime
from typing import Final

from services.commissions.domain.statement_document import Letterhead
from services.commissions.storage.issued_store import (
    find_period_to_number,
    insert_sweep,
    list_unnumbered,
    try_lock_numbers,
)
from services.commissions.usecases.issue_statement import StatementKey, issue_statement
from shared.runtime.database import Session

STATEMENTS_AT_ONCE: Final = 100
"""In one transaction: a second or two, while a void statement waits for its number."""


async def finalise_statements(session: Session, now: datetime, *, issuer: Letterhead) -> int:
    """Number a batch; gives how many statements or finished periods it came to, 0 when there is nothing to do.

    Several workers take turns. Interrupted, it goes on where it stopped: what has a number is passed over.
    """
    if not await try_lock_numbers(session):
        return 0
    period = await find_period_to_number(session)
    if period is None:
        return 0
    found = await list_unnumbered(session, period, limit=STATEMENTS_AT_ONCE)
    for party, currency in found:
        await issue_statement(session, StatementKey(party, period, currency), issuer=issuer, now=now)
    if not found:
        await insert_sweep(session, period, now=now)
    return max(len(found), 1)
