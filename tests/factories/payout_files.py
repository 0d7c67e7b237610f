"""Payout batches and banks' answers for tests. Accounts are the registry's own examples, nobody's."""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID
from xml.sax.saxutils import escape

from services.commissions.domain.payout_batch import Debtor, PayoutBatch, PayoutInstruction, end_to_end_id_of
from shared.kernel.money import Money

RUN = UUID("0197b0f0-0000-7000-8000-000000000001")
IBAN_DE = "DE89370400440532013000"
IBAN_FR = "FR1420041010050500013M02606"
IBAN_SA = "SA0380000000608010167519"
"""Outside SEPA."""


def instruction(number: int = 0, *, minor: int = 1234, currency: str = "EUR", **other: Any) -> PayoutInstruction:
    """One payee; to a French IBAN unless told another account."""
    to = {"iban": IBAN_FR} if not {"iban", "account", "paypal_receiver"} & other.keys() else {}
    fields = {
        "creditor_name": "Blogue & Fils",
        "country": "FR",
        "remittance_text": "Commissions 2026-11",
        **to,
        **other,
    }
    return PayoutInstruction(
        end_to_end_id=fields.pop("end_to_end_id", end_to_end_id_of(UUID(int=number + 1))),
        amount=Money(minor, currency),
        **fields,
    )


def batch(*lines: PayoutInstruction, currency: str = "EUR", **other: Any) -> PayoutBatch:
    """A run's batch, created at noon of the last of November 2026."""
    debtor = Debtor(name="The Network", iban=IBAN_DE, bic="COBADEFFXXX", country="DE", town="Köln")
    fields: dict[str, Any] = {
        "run_id": RUN,
        "created_at": datetime(2026, 11, 30, 12, 0, 0, 123456, tzinfo=UTC),
        "execution_date": date(2026, 12, 1),
        "debtor": debtor,
        **other,
    }
    return PayoutBatch(currency=currency, lines=lines or (instruction(currency=currency),), **fields)


def camt_detail(end_to_end_id: str, amount: str, *, version: str = "08", currency: str = "EUR", more: str = "") -> str:
    """One payment within an entry, as the version spells it. more: elements after the amounts, such as RtrInf."""
    money = f'<Amt Ccy="{currency}">{amount}</Amt>'
    reference = escape(end_to_end_id)
    refs = f"<Refs><AcctSvcrRef>BANK-{reference[-6:]}</AcctSvcrRef><EndToEndId>{reference}</EndToEndId></Refs>"
    if version == "02":
        return f"<TxDtls>{refs}<AmtDtls><TxAmt>{money}</TxAmt></AmtDtls>{more}</TxDtls>"
    return f"<TxDtls>{refs}{money}<CdtDbtInd>DBIT</CdtDbtInd>{more}</TxDtls>"


def camt_entry(
    amount: str,
    details: str,
    *,
    version: str = "08",
    direction: str = "DBIT",
    status: str = "BOOK",
    currency: str = "EUR",
    more: str = "",
) -> str:
    """One entry. details: its TxDtls, or a Btch. more: elements between the status and the day, none in good order."""
    spelt_status = f"<Sts>{status}</Sts>" if version == "02" else f"<Sts><Cd>{status}</Cd></Sts>"
    family = "RRTN" if direction == "CRDT" else "ESCT"
    domain = "RCDT" if direction == "CRDT" else "ICDT"
    return (
        f'<Ntry><Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd>{more}{spelt_status}'
        f"<BookgDt><Dt>2026-12-01</Dt></BookgDt>"
        f"<BkTxCd><Domn><Cd>PMNT</Cd><Fmly><Cd>{domain}</Cd><SubFmlyCd>{family}</SubFmlyCd></Fmly></Domn></BkTxCd>"
        f"<NtryDtls>{details}</NtryDtls></Ntry>"
    )


def camt(entries: Sequence[str], *, kind: str = "053", version: str = "08", before: str = "") -> bytes:
    """A whole file. before: balances (053) or a summary, which stand before the entries."""
    root, report = ("BkToCstmrStmt", "Stmt") if kind == "053" else ("BkToCstmrDbtCdtNtfctn", "Ntfctn")
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.{kind}.001.{version}"><{root}>'
        f"<GrpHdr><MsgId>BANK-2026-12-01</MsgId><CreDtTm>2026-12-02T03:00:00</CreDtTm></GrpHdr>"
        f"<{report}><Id>1</Id><CreDtTm>2026-12-02T03:00:00</CreDtTm>"
        f"<Acct><Id><IBAN>{IBAN_DE}</IBAN></Id></Acct>{before}{''.join(entries)}</{report}></{root}></Document>"
    ).encode()


def camt_balance(code: str, amount: str, *, direction: str = "CRDT", currency: str = "EUR") -> str:
    """One balance: OPBD or CLBD."""
    return (
        f"<Bal><Tp><CdOrPrtry><Cd>{code}</Cd></CdOrPrtry></Tp>"
        f'<Amt Ccy="{currency}">{amount}</Amt><CdtDbtInd>{direction}</CdtDbtInd><Dt><Dt>2026-12-01</Dt></Dt></Bal>'
    )
