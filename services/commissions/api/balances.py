"""`GET /v1/balance`: what stands for a party, in each of its currencies, from ledger entries alone."""

from typing import Any

from fastapi import APIRouter, Request

from services.commissions.api.desk import Reader, desk_of, party_asked_for, party_needed
from services.commissions.api.ledger_answers import BalanceAnswer
from services.commissions.usecases.read_balance import read_balance
from shared.kernel.money import Money
from shared.runtime.http_app import MoneyAnswer, QueryId, StrictRoute

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["balance"])


@router.get("/balance", response_model=BalanceAnswer, response_model_exclude_unset=True)
async def get_balance(
    request: Request, caller: Reader, affiliate_id: QueryId | None = None, merchant_id: QueryId | None = None
) -> dict[str, Any]:
    """What stands for a party, in each of its currencies. A party without entries has no items.

    An affiliate's: pending, approved (not due yet), payable, paid. A merchant's: receivable. block_number: the last
    block that is in it; 0 before the first.
    """
    desk = desk_of(request)
    party = party_asked_for(caller, affiliate_id=affiliate_id, merchant_id=merchant_id)
    if party is None:
        raise party_needed()
    async with desk.reading(caller) as session:
        balances, block_number = await read_balance(session, party, now=desk.clock.now())
    items = [
        {
            "currency": balance.currency,
            **{
                name: MoneyAnswer.of(Money(minor, balance.currency)).model_dump()
                for name, minor in balance.amounts_minor.items()
            },
        }
        for balance in balances
    ]
    return {"items": items, "next_cursor": None, "block_number": block_number}
