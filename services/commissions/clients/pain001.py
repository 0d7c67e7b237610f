"""pain.001.001.09, ISO 20022's customer credit transfer initiation, for SEPA and for the rest of the world.

Two blocks (PmtInf) at most, each with its own count and control sum:

- `…S`, SEPA: euro, both accounts IBANs in the SEPA area. Service level SEPA, charges SLEV, names up to 70 characters.
- `…X`, anything else: no service level, charges shared (SHAR), the currency's own decimals, the payee's bank by BIC or
  by national clearing code.

Names and texts are brought to the banks' character set by `domain.bank_text`. A postal address is written only where
the town is known, since the schemes take no address without one. Every document is checked against the schema in
`schemas/`.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from lxml import etree

from services.commissions.domain.bank_details import is_sepa_iban, parse_bic, parse_iban
from services.commissions.domain.bank_text import (
    NAME_LENGTH_MAX,
    NAME_LENGTH_MAX_SEPA,
    REMITTANCE_LENGTH_MAX,
    bank_text,
    check_reference,
)
from services.commissions.domain.payout_batch import (
    PayoutBatch,
    PayoutInstruction,
    check_batch,
    named_lines,
    utc_seconds,
)
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.money import zero

LINES_MAX: Final = 40_000
"""Lines of one file: the whole document is in memory while it is checked, about 5 kB and 50 µs a line."""

SEPA_AMOUNT_MINOR_MAX: Final = 99_999_999_999
"""999,999,999.99 EUR: the scheme's own limit of one transfer (EPC125-05)."""

_NAMESPACE: Final = "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"
_SCHEMA_FILE: Final = Path(__file__).parent / "schemas" / "pain.001.001.09.xsd"
_ACCOUNT_LENGTH_MAX: Final = 34
Element = Any


class PayoutFileInvalid(TributaryError):
    """The document does not follow its schema: a defect of this writer, so nothing is handed out.

    Names the element only.
    """

    code = "payout_file_invalid"


@dataclass(frozen=True, slots=True)
class _Line:
    """An instruction with the name that a refusal gives it, and its account, checked: an IBAN or another."""

    name: str
    instruction: PayoutInstruction
    iban: str | None
    account: str | None


@dataclass(frozen=True, slots=True)
class _Block:
    """One PmtInf: its letter, whether it is SEPA, its lines."""

    letter: str
    is_sepa: bool
    lines: tuple[_Line, ...]

    @property
    def name_length_max(self) -> int:
        return NAME_LENGTH_MAX_SEPA if self.is_sepa else NAME_LENGTH_MAX


def write_pain001(batch: PayoutBatch) -> bytes:
    """The document for `batch` as UTF-8, checked against the schema. Same batch, same bytes.

    Raises InvalidValue naming the field; PayoutFileInvalid when the schema refuses the document.
    """
    check_batch(batch, lines_max=LINES_MAX)
    root = etree.Element(f"{{{_NAMESPACE}}}Document", nsmap={None: _NAMESPACE})
    initiation = _child(root, "CstmrCdtTrfInitn")
    _group_header(_child(initiation, "GrpHdr"), batch)
    for block in _blocks(batch):
        _payment_information(_child(initiation, "PmtInf"), batch, block)
    check_schema(root)
    written: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return written


def check_schema(root: Element) -> None:
    """Raises PayoutFileInvalid with the first element that the schema refuses: never with what stands in it."""
    schema = _schema()
    if not schema.validate(root):
        first = schema.error_log[0]
        raise PayoutFileInvalid(f"the schema refuses line {first.line}: {first.type_name} at {first.path}")


@cache
def _schema() -> Any:
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    return etree.XMLSchema(etree.parse(_SCHEMA_FILE, parser))


def _blocks(batch: PayoutBatch) -> list[_Block]:
    debtor_iban = parse_iban(batch.debtor.iban, field="debtor.iban")
    may_be_sepa = batch.currency == "EUR" and is_sepa_iban(debtor_iban)
    sepa: list[_Line] = []
    other: list[_Line] = []
    for name, instruction in named_lines(batch):
        line = _checked_line(name, instruction)
        is_sepa = may_be_sepa and line.iban is not None and is_sepa_iban(line.iban)
        (sepa if is_sepa else other).append(line)
    blocks = [_Block("S", True, tuple(sepa)), _Block("X", False, tuple(other))]
    return [block for block in blocks if block.lines]


def _checked_line(name: str, line: PayoutInstruction) -> _Line:
    if (line.iban is None) == (line.account is None) or line.paypal_receiver is not None:
        raise InvalidValue(f"{name}.iban", "account_required", "give an IBAN or an account, exactly one")
    if line.iban is not None:
        return _Line(name, line, parse_iban(line.iban, field=f"{name}.iban"), None)
    account = check_reference(line.account or "", field=f"{name}.account")
    if len(account) > _ACCOUNT_LENGTH_MAX:
        raise InvalidValue(f"{name}.account", "account_too_long", "must be at most 34 characters")
    return _Line(name, line, None, account)


def _group_header(header: Element, batch: PayoutBatch) -> None:
    _text(header, "MsgId", batch.message_id)
    _text(header, "CreDtTm", utc_seconds(batch.created_at))
    _text(header, "NbOfTxs", str(len(batch.lines)))
    _text(header, "CtrlSum", batch.control_sum.decimal_text())
    _text(
        _child(header, "InitgPty"),
        "Nm",
        bank_text(batch.debtor.name, length_max=NAME_LENGTH_MAX_SEPA, field="debtor.name"),
    )


def _payment_information(payment: Element, batch: PayoutBatch, block: _Block) -> None:
    _text(payment, "PmtInfId", f"{batch.message_id}{block.letter}")
    _text(payment, "PmtMtd", "TRF")
    _text(payment, "NbOfTxs", str(len(block.lines)))
    total = sum((line.instruction.amount for line in block.lines), zero(batch.currency))
    _text(payment, "CtrlSum", total.decimal_text())
    if block.is_sepa:
        _text(_child(_child(payment, "PmtTpInf"), "SvcLvl"), "Cd", "SEPA")
    _text(_child(payment, "ReqdExctnDt"), "Dt", batch.execution_date.isoformat())
    debtor = batch.debtor
    name = bank_text(debtor.name, length_max=block.name_length_max, field="debtor.name")
    _party(_child(payment, "Dbtr"), name, debtor.country, debtor.town, field="debtor")
    account = _child(payment, "DbtrAcct")
    _text(_child(account, "Id"), "IBAN", parse_iban(debtor.iban, field="debtor.iban"))
    agent = _child(_child(payment, "DbtrAgt"), "FinInstnId")
    if debtor.bic is not None:
        _text(agent, "BICFI", parse_bic(debtor.bic, field="debtor.bic"))
    elif block.is_sepa:
        _text(_child(agent, "Othr"), "Id", "NOTPROVIDED")
    else:
        raise InvalidValue("debtor.bic", "bic_required", "is required for payments outside SEPA")
    _text(payment, "ChrgBr", "SLEV" if block.is_sepa else "SHAR")
    for one in block.lines:
        _transfer(_child(payment, "CdtTrfTxInf"), one, block)


def _transfer(transfer: Element, checked: _Line, block: _Block) -> None:
    name, line = checked.name, checked.instruction
    if block.is_sepa and line.amount.amount_minor > SEPA_AMOUNT_MINOR_MAX:
        raise InvalidValue(f"{name}.amount", "payout_amount_invalid", "is above what one SEPA transfer may carry")
    _text(_child(transfer, "PmtId"), "EndToEndId", line.end_to_end_id)
    amount = _text(_child(transfer, "Amt"), "InstdAmt", line.amount.decimal_text())
    amount.set("Ccy", line.amount.currency)
    _creditor_agent(transfer, name, line, block)
    creditor_name = bank_text(line.creditor_name, length_max=block.name_length_max, field=f"{name}.creditor_name")
    _party(_child(transfer, "Cdtr"), creditor_name, line.country, line.town, field=name)
    account = _child(_child(transfer, "CdtrAcct"), "Id")
    if checked.iban is not None:
        _text(account, "IBAN", checked.iban)
    else:
        _text(_child(account, "Othr"), "Id", checked.account or "")
    text = bank_text(line.remittance_text, length_max=REMITTANCE_LENGTH_MAX, field=f"{name}.remittance_text")
    _text(_child(transfer, "RmtInf"), "Ustrd", text)


def _creditor_agent(transfer: Element, name: str, line: PayoutInstruction, block: _Block) -> None:
    """The payee's bank: within SEPA its BIC where known, elsewhere its BIC, its clearing code or both."""
    if line.bic is None and line.clearing is None:
        if block.is_sepa:
            return
        raise InvalidValue(f"{name}.bic", "bic_required", "is required outside SEPA, or a clearing code")
    agent = _child(_child(transfer, "CdtrAgt"), "FinInstnId")
    if line.bic is not None:
        _text(agent, "BICFI", parse_bic(line.bic, field=f"{name}.bic"))
    if line.clearing is not None:
        system, member = line.clearing.system, line.clearing.member_id
        if not (system.isascii() and system.isalnum() and len(system) <= 5):
            raise InvalidValue(f"{name}.clearing.system", "clearing_malformed", "must be an ISO code such as USABA")
        if not (member.isascii() and member.isalnum() and len(member) <= 28):
            raise InvalidValue(f"{name}.clearing.member_id", "clearing_malformed", "must be letters and digits")
        clearing = _child(agent, "ClrSysMmbId")
        _text(_child(clearing, "ClrSysId"), "Cd", system)
        _text(clearing, "MmbId", member)


def _party(party: Element, name: str, country: str, town: str | None, *, field: str) -> None:
    _text(party, "Nm", name)
    if not (len(country) == 2 and country.isascii() and country.isupper()):
        raise InvalidValue(f"{field}.country", "country_malformed", "must be an ISO 3166 code such as DE")
    if town is not None:
        address = _child(party, "PstlAdr")
        _text(address, "TwnNm", bank_text(town, length_max=35, field=f"{field}.town"))
        _text(address, "Ctry", country)


def _child(parent: Element, name: str) -> Element:
    return etree.SubElement(parent, f"{{{_NAMESPACE}}}{name}")


def _text(parent: Element, name: str, text: str) -> Element:
    child = _child(parent, name)
    child.text = text
    return child
