"""`GET /v1/ledger`, its blocks, and the trial balance: for admin and finance."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BeforeValidator

from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.ledger_answers import BlockAnswer, LedgerTransactionAnswer, TrialBalanceAnswer
from services.commissions.storage.ledger_reader import AccountSum, LedgerFilter, StoredBlock, StoredTransaction
from services.commissions.usecases.read_ledger import read_blocks, read_transactions, read_trial_balance
from services.commissions.usecases.read_statement import BlockNotFound
from services.commissions.usecases.statement_forms.plain import instant_text
from shared.kernel.money import Money
from shared.runtime.http_app import MoneyAnswer, PlainText, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    CursorValue,
    Page,
    PageCursor,
    PageLimit,
    cursor_integer,
    cursor_parsed,
    decode_cursor,
    page_document,
    page_of,
)
from shared.runtime.problem import not_found
from shared.runtime.wire_model import plain_number

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["ledger"])
BlockNumber = Annotated[int, Query(ge=1, le=2**53), BeforeValidator(plain_number)]


@router.get("/ledger", response_model=Page[LedgerTransactionAnswer])
async def get_ledger(
    request: Request,
    caller: Staff,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
    account: Annotated[str | None, PlainText(64)] = None,
    currency: Annotated[str | None, Query(pattern="^[A-Z]{3}$")] = None,
    commission_id: UUID | None = None,
    block: BlockNumber | None = None,
) -> dict[str, Any]:
    """Ledger transactions with their entries, newest block first. account: such as `affiliate_payable:7`."""
    wanted = LedgerFilter(account, currency, commission_id, block, _read_position(cursor))
    async with desk_of(request).reading(caller) as session:
        rows = await read_transactions(session, wanted, limit=limit)
    shown, next_cursor = page_of(rows, limit, _position)
    return page_document([_transaction(row) for row in shown], next_cursor)


@router.get("/ledger/blocks", response_model=Page[BlockAnswer])
async def get_blocks(
    request: Request, caller: Staff, limit: PageLimit = LIMIT_DEFAULT, cursor: PageCursor = None
) -> dict[str, Any]:
    """The ledger's chain, newest block first. Hashes in hexadecimal."""
    before = None if cursor is None else cursor_integer(decode_cursor(cursor, keys=("block",)), "block")
    async with desk_of(request).reading(caller) as session:
        rows = await read_blocks(session, before=before, limit=limit)
    shown, next_cursor = page_of(rows, limit, lambda row: {"block": row.block.number})
    return page_document([_block(row) for row in shown], next_cursor)


@router.get("/trial-balance", response_model=TrialBalanceAnswer)
async def get_trial_balance(request: Request, caller: Staff, block: BlockNumber | None = None) -> dict[str, Any]:
    """The trial balance, at a block or at the newest. One item a currency; its total is zero."""
    async with desk_of(request).reading(caller) as session:
        try:
            found = await read_trial_balance(session, block_number=block)
        except BlockNotFound:
            raise not_found("block_not_found", "There is no such block yet.") from None
    currencies = sorted({each.currency for each in found.sums})
    items = [_currency([each for each in found.sums if each.currency == currency]) for currency in currencies]
    return {"items": items, "next_cursor": None, "block_number": found.block_number}


def _currency(sums: list[AccountSum]) -> dict[str, Any]:
    currency = sums[0].currency
    return {
        "currency": currency,
        "accounts": [
            {
                "account_kind": each.account_kind,
                "debit": _money(each.debit_minor, currency),
                "credit": _money(each.credit_minor, currency),
                "balance": _money(each.debit_minor - each.credit_minor, currency),
            }
            for each in sums
        ],
        "total": _money(sum(each.debit_minor - each.credit_minor for each in sums), currency),
    }


def _transaction(row: StoredTransaction) -> dict[str, Any]:
    return {
        "transaction_id": str(row.transaction_id),
        "kind": row.kind,
        "block_number": row.block_number,
        "booked_at": instant_text(row.booked_at),
        "occurred_at": instant_text(row.occurred_at),
        "commission_id": _id_text(row.commission_id),
        "conversion_id": _id_text(row.conversion_id),
        "conversion_version": row.conversion_version,
        "offer_id": row.offer_id,
        "offer_version": row.offer_version,
        "reverses": _id_text(row.reverses),
        "reason_code": row.reason_code,
        "entries": [
            {
                "account": entry.account,
                "amount": _money(entry.amount_minor, entry.currency),
                "payable_at": instant_text(entry.payable_at),
            }
            for entry in row.entries
        ],
    }


def _block(row: StoredBlock) -> dict[str, Any]:
    return {
        "number": row.block.number,
        "booked_at": instant_text(row.block.booked_at),
        "previous_hash": row.block.previous_hash.hex(),
        "entries_hash": row.block.entries_hash.hex(),
        "hash": row.hash.hex(),
    }


def _position(row: StoredTransaction) -> dict[str, CursorValue]:
    return {"block": row.block_number, "id": str(row.transaction_id)}


def _read_position(cursor: str | None) -> tuple[int, UUID] | None:
    if cursor is None:
        return None
    position = decode_cursor(cursor, keys=("block", "id"))
    return cursor_integer(position, "block"), cursor_parsed(position, "id", UUID)


def _money(amount_minor: int, currency: str) -> dict[str, str]:
    return MoneyAnswer.of(Money(amount_minor, currency)).model_dump()


def _id_text(value: object) -> str | None:
    return None if value is None else str(value)
