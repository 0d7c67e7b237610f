"""What a statement says besides its amounts: whose paper it is, to whom, its number, and the titles of its groups."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from services.commissions.domain.statement import Party, Statement, StatementLine
from services.commissions.domain.tax import TaxLines, TaxSettings, tax_lines_of

KIND_ORDER: Final = (
    "accrual",
    "approval",
    "adjustment",
    "reversal",
    "bonus",
    "referral",
    "true_up",
    "manual_adjustment",
    "currency_exchange",
    "revaluation",
    "vat",
    "merchant_payment",
    "prepaid_application",
    "settlement",
    "payout",
    "payout_return",
)
"""The order of kinds on paper: what was earned, what was corrected, then what was paid. Others follow, by name."""

_TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "accrual": "Commission",
        "approval": "Approval",
        "adjustment": "Adjustment",
        "reversal": "Reversal",
        "bonus": "Bonus",
        "referral": "Referral",
        "true_up": "Tier true-up",
        "manual_adjustment": "Manual adjustment",
        "currency_exchange": "Currency exchange",
        "revaluation": "Currency revaluation",
        "vat": "VAT",
        "merchant_payment": "Payment received",
        "prepaid_application": "Settled from prepayment",
        "settlement": "Settlement",
        "payout": "Payout",
        "payout_return": "Returned payout",
    }
)


@dataclass(frozen=True, slots=True)
class Letterhead:
    """A party as it is named on paper. address: its lines. tax_id: with its country's prefix, where there is one."""

    name: str
    address: tuple[str, ...] = ()
    tax_id: str | None = None


NETWORK: Final = Letterhead("Affiliate network")
"""Whose paper it is where nobody has named the network yet."""


@dataclass(frozen=True, slots=True)
class Particulars:
    """What may differ between two papers of one cut, and is frozen when a statement gets its number.

    number: None for a draft. replaces: the number of the void statement that this one stands for.
    title: of its series; None for a draft. offer_names: as they were called; an offer that is missing here goes by its
    id. tax: the settings in force; None where finance recorded none.
    """

    issuer: Letterhead
    party: Letterhead
    number: str | None = None
    replaces: str | None = None
    title: str | None = None
    offer_names: Mapping[int, str] = field(default_factory=dict)
    tax: TaxSettings | None = None


@dataclass(frozen=True, slots=True)
class StatementDocument:
    """A statement and what stands around it; with its lines, all that a form renders."""

    statement: Statement
    particulars: Particulars

    @property
    def title(self) -> str:
        """What it is, in the reader's words."""
        if self.particulars.title is not None:
            return self.particulars.title
        return "Commission statement" if self.statement.party.affiliate_id is not None else "Statement of charges"

    @property
    def party_label(self) -> str:
        """`Affiliate 7` or `Merchant 3`."""
        return party_label(self.statement.party)

    @property
    def tax_lines(self) -> TaxLines | None:
        """Net, VAT and gross; None where finance recorded no tax settings."""
        tax = self.particulars.tax
        return None if tax is None else tax_lines_of(self.statement, tax)

    @property
    def kinds(self) -> list[str]:
        """Every kind with a total, in the order of KIND_ORDER."""
        return sorted({kind for section in self.statement.sections for kind in section.totals_minor}, key=kind_rank)


@dataclass(frozen=True, slots=True)
class LineGroup:
    """Lines that are shown together: those of one offer, or, of what no offer caused, those of one kind."""

    offer_id: int | None
    kind: str | None


def tax_note(document: StatementDocument) -> str:
    """What a reader must know of the VAT, in a sentence or two."""
    tax = document.particulars.tax
    if tax is None:
        return "No tax settings are recorded for this party: amounts are without VAT."
    notes = [f"Supplied under the tax settings valid from {tax.valid_from.isoformat()}, country {tax.country}."]
    if tax.is_reverse_charge:
        notes.append("Reverse charge: the recipient accounts for the VAT.")
    if tax.self_billing is not None:
        agreed = tax.self_billing
        notes.append(f"Self-billing by the agreement {agreed.reference} of {agreed.agreed_on.isoformat()}.")
    notes.append("VAT is no part of the balances above.")
    return " ".join(notes)


def group_of(line: StatementLine) -> LineGroup:
    """Where a line is shown."""
    if line.offer_id is not None:
        return LineGroup(line.offer_id, None)
    return LineGroup(None, line.kind)


def group_title(group: LineGroup, party: Party, offer_names: Mapping[int, str]) -> str:
    """`Offer 12 · Summer shoes`, or the kind's title."""
    if group.offer_id is None:
        return title_of(group.kind or "", party)
    name = offer_names.get(group.offer_id)
    return f"Offer {group.offer_id}" if name is None else f"Offer {group.offer_id} · {name}"


def kind_rank(kind: str) -> tuple[int, str]:
    """Sorts kinds: the known ones in their order, then the others by name."""
    return (KIND_ORDER.index(kind) if kind in KIND_ORDER else len(KIND_ORDER), kind)


def title_of(kind: str, party: Party) -> str:
    """A kind in the party's words; one that is not known yet is its code without underscores."""
    if kind == "accrual" and party.affiliate_id is None:
        return "Charge"
    return _TITLES.get(kind) or _words(kind).capitalize()


def line_title(line: StatementLine, party: Party) -> str:
    """What happened and why: `Reversal: order cancelled`."""
    title = title_of(line.kind, party)
    return title if line.reason_code is None else f"{title}: {_words(line.reason_code)}"


def _words(code: str) -> str:
    return code.replace("_", " ")


def section_title(name: str) -> str:
    """A section's name as a column head."""
    return {"receivable": "Charges"}.get(name, name.capitalize())


def party_label(party: Party) -> str:
    """`Affiliate 7` or `Merchant 3`."""
    return f"Affiliate {party.affiliate_id}" if party.affiliate_id is not None else f"Merchant {party.merchant_id}"
