"""Read the ledger itself: transactions, blocks, and whether both sides come to the same."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.commissions.storage.ledger_reader import (
    AccountSum,
    LedgerFilter,
    StoredBlock,
    StoredTransaction,
    last_block_number,
    list_block_rows,
    list_transactions,
    sum_accounts,
)
from services.commissions.usecases.read_statement import BlockNotFound
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Every account kind's sums at a block, by currency."""

    block_number: int
    sums: Sequence[AccountSum]


async def read_transactions(session: Session, wanted: LedgerFilter, *, limit: int) -> list[StoredTransaction]:
    """At most `limit` + 1, newest block first."""
    return await list_transactions(session, wanted, limit=limit + 1)


async def read_blocks(session: Session, *, before: int | None, limit: int) -> list[StoredBlock]:
    """At most `limit` + 1, newest first."""
    return await list_block_rows(session, before=before, limit=limit + 1)


async def read_trial_balance(session: Session, *, block_number: int | None) -> TrialBalance:
    """At the block, or at the newest. Raises BlockNotFound."""
    last = await last_block_number(session)
    if block_number is not None and block_number > last:
        raise BlockNotFound("there is no such block yet")
    number = last if block_number is None else block_number
    return TrialBalance(number, await sum_accounts(session, until_number=number))
