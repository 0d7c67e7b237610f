"""Read what stands for a party."""

from datetime import datetime

from services.commissions.domain.statement import Balance, Party, balances_of
from services.commissions.storage.balance_store import sum_standing
from shared.runtime.database import Session


async def read_balance(session: Session, party: Party, *, now: datetime) -> tuple[list[Balance], int]:
    """The party's balance in each currency at `now`, from ledger entries alone, and the block it stands at."""
    sums, block_number = await sum_standing(session, party, now=now)
    return balances_of(party, sums), block_number
