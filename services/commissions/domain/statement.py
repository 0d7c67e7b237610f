"""Statements and balances: what ledger entries come to for one party. Pure; the same entries give the same answer."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final
from uuid import UUID

from services.commissions.domain.ledger import AccountKind
from shared.contracts.commissions import RateUsedV1
from shared.kernel.period import Period

AFFILIATE_SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {AccountKind.AFFILIATE_PENDING.value: "pending", AccountKind.AFFILIATE_PAYABLE.value: "payable"}
)
MERCHANT_SECTIONS: Final[Mapping[str, str]] = MappingProxyType(
    {AccountKind.MERCHANT_RECEIVABLE.value: "receivable", AccountKind.MERCHANT_PREPAID.value: "prepaid"}
)


@dataclass(frozen=True, slots=True)
class Party:
    """Whose statement it is. Exactly one of the two ids is set."""

    merchant_id: int | None = None
    affiliate_id: int | None = None

    def __post_init__(self) -> None:
        if (self.merchant_id is None) == (self.affiliate_id is None):
            raise ValueError("a party is a merchant or an affiliate, exactly one")

    @property
    def sections(self) -> Mapping[str, str]:
        """Section by account kind, in the order in which a statement shows them."""
        return MERCHANT_SECTIONS if self.affiliate_id is None else AFFILIATE_SECTIONS

    @property
    def sign(self) -> int:
        """Turns a ledger amount (debit positive) into the party's view: owed to an affiliate, owed by a merchant."""
        return 1 if self.affiliate_id is None else -1


@dataclass(frozen=True, slots=True)
class Movement:
    """A sum of entries of one account kind and transaction kind. in_period: False for all that came before."""

    account_kind: str
    kind: str
    in_period: bool
    amount_minor: int


@dataclass(frozen=True, slots=True)
class Section:
    """One account of a statement. totals: by transaction kind, in alphabetical order. closing = opening + totals."""

    name: str
    opening_minor: int
    totals_minor: Mapping[str, int]

    @property
    def closing_minor(self) -> int:
        """What stands at the cut."""
        return self.opening_minor + sum(self.totals_minor.values())


@dataclass(frozen=True, slots=True)
class Cut:
    """The block a statement ends with. number 0: before the first block, with the genesis hash and no time.

    before_number: the last block that belongs to earlier periods; the statement's lines come after it.
    """

    number: int
    before_number: int
    hash: bytes
    booked_at: datetime | None
    is_final: bool


@dataclass(frozen=True, slots=True)
class StatementLine:
    """What one ledger transaction moved for the party. amounts_minor: by section, in the party's view.

    rate: by which the order's currency became the statement's; None where it was the same.
    """

    block_number: int
    booked_at: datetime
    transaction_id: UUID
    occurred_at: datetime
    kind: str
    offer_id: int | None
    commission_id: UUID | None
    conversion_id: UUID | None
    reason_code: str | None
    amounts_minor: Mapping[str, int]
    rate: RateUsedV1 | None = None

    @property
    def amount_minor(self) -> int:
        """All sections together: an approval, which only moves money between them, comes to zero."""
        return sum(self.amounts_minor.values())


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything of a statement but its lines. A pure function of (party, period, currency, cut)."""

    party: Party
    period: Period
    currency: str
    cut: Cut
    sections: Sequence[Section]

    @property
    def opening_minor(self) -> int:
        """The closing of the period before."""
        return sum(section.opening_minor for section in self.sections)

    @property
    def closing_minor(self) -> int:
        """The opening of the next period."""
        return sum(section.closing_minor for section in self.sections)


def sections_of(party: Party, movements: Iterable[Movement]) -> tuple[Section, ...]:
    """The party's sections, each of them, from sums of its entries. Accounts of other kinds are not on a statement."""
    openings: Counter[str] = Counter()
    totals: dict[str, Counter[str]] = {kind: Counter() for kind in party.sections}
    for movement in movements:
        if movement.account_kind not in party.sections:
            continue
        if movement.in_period:
            totals[movement.account_kind][movement.kind] += party.sign * movement.amount_minor
        else:
            openings[movement.account_kind] += party.sign * movement.amount_minor
    return tuple(
        Section(name, openings[kind], MappingProxyType(dict(sorted(totals[kind].items()))))
        for kind, name in party.sections.items()
    )


@dataclass(frozen=True, slots=True)
class Balance:
    """What stands for a party in one currency, by name: pending, approved, payable, paid; or receivable, prepaid."""

    currency: str
    amounts_minor: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class StandingSum:
    """A sum of entries of one account kind, or of what was `paid`. is_due: its payable_at has passed, if it has one."""

    currency: str
    account_kind: str
    is_due: bool
    amount_minor: int


def balances_of(party: Party, sums: Iterable[StandingSum]) -> list[Balance]:
    """A balance for each currency that the party has entries in, by currency."""
    names = ("receivable", "prepaid") if party.affiliate_id is None else ("pending", "approved", "payable", "paid")
    found: dict[str, dict[str, int]] = {}
    for each in sums:
        section = each.account_kind if each.account_kind == "paid" else party.sections.get(each.account_kind)
        if section is None:
            continue
        name = "approved" if section == "payable" and not each.is_due else section
        amounts = found.setdefault(each.currency, dict.fromkeys(names, 0))
        amounts[name] += party.sign * each.amount_minor
    return [Balance(currency, MappingProxyType(amounts)) for currency, amounts in sorted(found.items())]
