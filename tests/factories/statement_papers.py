"""Statements without a database: as long as a test wants them, and the SHA-256 of each of their forms.

`python -m tests.factories.statement_papers` prints the hashes, for a test that renders in another process.
"""

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

from services.commissions.domain.statement import Cut, Party, Section, Statement, StatementLine
from services.commissions.domain.statement_document import Letterhead, Particulars, StatementDocument
from services.commissions.domain.tax import SelfBilling, TaxSettings
from services.commissions.usecases.statement_forms.pdf import statement_pdf
from services.commissions.usecases.statement_forms.plain import statement_csv, statement_json
from services.commissions.usecases.statement_forms.xlsx import statement_xlsx
from shared.kernel.period import Period

NOVEMBER = Period(2026, 11)
AFFILIATE, MERCHANT = Party(affiliate_id=7), Party(merchant_id=3)
OFFERS = {12: "Summer shoes", 13: "=HYPERLINK(1)", 907: "Ωμέγα Зима"}
TAX = TaxSettings(
    valid_from=date(2026, 1, 1),
    legal_name="Café Łódź",
    address=("Rue de l’Église 5", "1000 Bruxelles"),
    country="BE",
    tax_id="BE0123456789",
    rate_percent=Decimal(21),
    is_reverse_charge=False,
    self_billing=SelfBilling(date(2025, 12, 1), "SB-AGR-7"),
)
CUT = Cut(
    number=4711,
    before_number=12,
    hash=hashlib.sha256(b"block").digest(),
    booked_at=datetime(2026, 11, 30, 23, 59, 58, tzinfo=UTC),
    is_final=True,
)


def lines_of(party: Party, count: int, *, seed: int = 5) -> list[StatementLine]:
    """`count` lines of three offers, group by group, and one of each of four kinds that no offer caused."""
    chance = random.Random(seed)
    names = list(party.sections.values())
    lines = []
    for n in range(count):
        kind = chance.choices(("accrual", "approval", "adjustment", "reversal"), (6, 5, 1, 1))[0]
        amount = chance.randint(1, 45_000)
        moved = {"accrual": (amount, 0), "approval": (-amount, amount), "adjustment": (-amount // 3, 0)}
        reason = {"adjustment": "partial_refund", "reversal": "order_cancelled"}.get(kind)
        offer_id = list(OFFERS)[n * 3 // count]
        lines.append(_line(n, kind, moved.get(kind, (0, -amount)), names, offer_id, reason, chance))
    for kind, amount in (("bonus", 5_000), ("revaluation", -123), ("payout", -250_000), ("unheard_of", 1)):
        lines.append(_line(count, kind, (0, amount), names, None, None, chance))
    return lines


def _line(
    n: int,
    kind: str,
    amounts: Sequence[int],
    names: Sequence[str],
    offer_id: int | None,
    reason: str | None,
    chance: random.Random,
) -> StatementLine:
    booked_at = NOVEMBER.start + timedelta(minutes=n)
    ids = [UUID(int=chance.getrandbits(128)) for _ in range(3)]
    return StatementLine(
        block_number=13 + n,
        booked_at=booked_at,
        transaction_id=ids[0],
        occurred_at=booked_at,
        kind=kind,
        offer_id=offer_id,
        commission_id=None if offer_id is None else ids[1],
        conversion_id=None if offer_id is None else ids[2],
        reason_code=reason,
        amounts_minor=dict(zip(names, amounts if len(names) > 1 else [sum(amounts) or amounts[1]], strict=True)),
    )


def statement_of(party: Party, lines: Sequence[StatementLine], *, currency: str = "EUR") -> Statement:
    """The statement that `lines` come to, after an opening of 1,234.56 and, for an affiliate, −7.00."""
    sections = []
    for n, name in enumerate(party.sections.values()):
        totals: Counter[str] = Counter()
        for line in lines:
            if line.amounts_minor[name]:
                totals[line.kind] += line.amounts_minor[name]
        sections.append(Section(name, 123_456 if n == 0 else -700, dict(sorted(totals.items()))))
    return Statement(party, NOVEMBER, currency, CUT, sections)


def document_of(
    statement: Statement, *, name: str = "Café Łódź", issuer: str = "A network", tax: TaxSettings | None = TAX
) -> StatementDocument:
    """With a letterhead, a party with an address, a number and VAT."""
    party = Letterhead(name, ("Rue de l’Église 5", "1000 Bruxelles"), "BE0123456789")
    letterhead = Letterhead(issuer, ("12 Harbour Street",))
    particulars = Particulars(letterhead, party, "CS-000012", offer_names=OFFERS, tax=tax)
    return StatementDocument(statement, particulars)


async def streamed(lines: Sequence[StatementLine]) -> AsyncIterator[StatementLine]:
    """As the database gives them."""
    for line in lines:
        yield line


async def joined(parts: AsyncIterator[bytes]) -> bytes:
    """The whole file."""
    return b"".join([part async for part in parts])


async def files_of(document: StatementDocument, lines: Sequence[StatementLine]) -> dict[str, bytes]:
    """Every form."""
    return {
        "json": await joined(statement_json(document, streamed(lines))),
        "csv": await joined(statement_csv(document.statement, streamed(lines))),
        "xlsx": await joined(statement_xlsx(document, streamed(lines))),
        "pdf": await joined(statement_pdf(document, streamed(lines))),
    }


async def sha256_of_all() -> dict[str, str]:
    """The hash of each form of an affiliate's and of a merchant's statement."""
    found: dict[str, str] = {}
    for party in (AFFILIATE, MERCHANT):
        lines = lines_of(party, 150)
        files = await files_of(document_of(statement_of(party, lines)), lines)
        label = "affiliate" if party.affiliate_id else "merchant"
        found |= {f"{label}.{form}": hashlib.sha256(file).hexdigest() for form, file in files.items()}
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(sha256_of_all())))
