"""What the ledger, its blocks, the trial balance and balances look like over HTTP. Instants have six decimals."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from services.commissions.api.rate_answers import RateUsedAnswer
from shared.runtime.http_app import MoneyAnswer

InstantText = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
HashText = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class LedgerEntryAnswer(BaseModel):
    """One entry. Debit is positive. payable_at: from when an approved amount is payable."""

    account: str
    amount: MoneyAnswer
    payable_at: InstantText | None


class LedgerTransactionAnswer(BaseModel):
    """Entries that sum to zero per currency, and the block that seals them. reverses: the transaction it corrects."""

    transaction_id: str
    kind: str
    block_number: int
    booked_at: InstantText
    occurred_at: InstantText
    commission_id: str | None
    conversion_id: str | None
    conversion_version: int | None
    offer_id: int | None
    offer_version: int | None
    reverses: str | None
    reason_code: str | None
    entries: list[LedgerEntryAnswer]


class BlockAnswer(BaseModel):
    """One link of the chain. hash: of number, instant, previous hash and the hash of the block's entries."""

    number: int
    booked_at: InstantText
    previous_hash: HashText
    entries_hash: HashText
    hash: HashText


class AccountSumAnswer(BaseModel):
    """One kind of account at a block. balance: debit minus credit."""

    account_kind: str
    debit: MoneyAnswer
    credit: MoneyAnswer
    balance: MoneyAnswer


class TrialBalanceItem(BaseModel):
    """One currency. total: zero, or the books are broken."""

    currency: str
    accounts: list[AccountSumAnswer]
    total: MoneyAnswer


class TrialBalanceAnswer(BaseModel):
    """The ledger at one block; block_number 0 before the first."""

    items: list[TrialBalanceItem]
    next_cursor: None
    block_number: int


class BalanceItem(BaseModel):
    """One currency. pending, approved (not due yet), payable, paid: of an affiliate. receivable: of a merchant."""

    currency: str
    pending: MoneyAnswer | None = None
    approved: MoneyAnswer | None = None
    payable: MoneyAnswer | None = None
    paid: MoneyAnswer | None = None
    receivable: MoneyAnswer | None = None
    prepaid: MoneyAnswer | None = None


class BalanceAnswer(BaseModel):
    """What stands for one party, from ledger entries alone. block_number: the last block in it; 0 before the first."""

    items: list[BalanceItem]
    next_cursor: None
    block_number: int


class PartyReference(BaseModel):
    """Whose."""

    kind: Literal["affiliate", "merchant"]
    id: int


class ListedStatementAnswer(BaseModel):
    """One statement of a list. opening, closing: decimal text in `currency`; open: its month is not over.

    number: given once the month is closed; replaces: the void statement that it stands for.
    """

    party: PartyReference
    period: str
    currency: str
    status: Literal["open", "final"]
    number: str | None
    replaces: str | None
    block_number: int
    opening: str
    closing: str


class CutAnswer(BaseModel):
    """The block a statement was cut at."""

    number: int
    hash: HashText
    booked_at: InstantText | None


class SectionAnswer(BaseModel):
    """One account of the party. totals: what each kind of transaction added, as decimal text."""

    name: str
    opening: str
    totals: dict[str, str]
    closing: str


class StatementLineAnswer(BaseModel):
    """One ledger transaction. amounts: by section. amount: their sum. exchange_rate: where one was used."""

    block_number: int
    booked_at: InstantText
    occurred_at: InstantText
    kind: str
    reason_code: str | None
    offer_id: int | None
    conversion_id: str | None
    commission_id: str | None
    transaction_id: str
    exchange_rate: RateUsedAnswer | None
    amounts: dict[str, str]
    amount: str


class StatementAnswer(BaseModel):
    """One statement: a pure function of party, month, currency and block. Amounts are decimal text in `currency`."""

    party: PartyReference
    period: str
    currency: str
    block: CutAnswer
    opening: str
    closing: str
    sections: list[SectionAnswer]
    lines: list[StatementLineAnswer]
