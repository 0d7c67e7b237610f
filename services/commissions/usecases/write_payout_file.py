"""Write a run's file: the same bytes every time, since all that is in it was frozen with the run."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Final

from services.commissions.clients.payout_rail import RAILS, PayoutFile, RailName
from services.commissions.domain.payout_batch import Debtor, PayoutBatch, PayoutInstruction, end_to_end_id_of
from services.commissions.domain.payout_run import LineState, PayoutLine, PayoutRun
from services.commissions.domain.payout_settings import Method, PayoutDetails
from services.commissions.storage.payout_settings_store import find_versions
from services.commissions.storage.payout_store import find_file_hash, find_lines, find_payer
from services.commissions.usecases.change_payout_settings import details_of
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.money import Money
from shared.runtime.database import Session
from shared.runtime.keyring import Keyring
from shared.runtime.sealing import SealBroken

FORMATS: Final[Mapping[Method, str]] = MappingProxyType(
    {Method.BANK: "pain.001", Method.PAYPAL: "paypal", Method.CSV: "csv"}
)
"""One format a method: of a run that is paid by the bank there is no second file that somebody could pay as well."""

EXPORTED_EVER: Final = (LineState.EXPORTED, LineState.SETTLED, LineState.FAILED, LineState.RETURNED)
_NOBODY: Final = Debtor(name="-", iban="", bic=None, country="")
"""The payer of files that name none."""


class FormatOfAnotherMethod(TributaryError):
    """A run is paid by its own method's file, and by no other."""

    code = "payout_format_of_another_method"


class NotExported(TributaryError):
    """There is no file before the export."""

    code = "payout_not_exported"


class FileChanged(TributaryError):
    """The file came out otherwise than when it was exported: it is not handed out."""

    code = "payout_file_changed"


async def write_payout_file(
    session: Session, keyring: Keyring, run: PayoutRun, lines: Sequence[PayoutLine], *, payer: Debtor | None,
    created_at: datetime, now: datetime,
) -> PayoutFile:  # fmt: skip
    """The file of `run` with these lines; each has its frozen version. Raises InvalidValue naming `lines.n.field`."""
    versions = await find_versions(session, [(line.affiliate_id, line.settings_version or 0) for line in lines])
    instructions = []
    for place, line in enumerate(lines):
        version = versions[line.affiliate_id]
        try:
            details = details_of(keyring, version.settings_id, version.sealed_details, now=now)
        except SealBroken:
            field = f"lines.{place}.details"
            raise InvalidValue(field, "details_unreadable", "are sealed with a key that is gone") from None
        instructions.append(_instruction(run, line, details, version.country))
    batch = PayoutBatch(
        run_id=run.run_id,
        created_at=created_at,
        execution_date=created_at.date(),
        debtor=payer or _NOBODY,
        currency=run.terms.currency,
        lines=tuple(instructions),
    )
    rail = RAILS[RailName(run.terms.method.value)]
    return await asyncio.to_thread(rail.write, batch)


async def read_payout_file(
    session: Session, keyring: Keyring, run: PayoutRun, *, format: str, now: datetime
) -> PayoutFile:
    """The file of an exported run, held against the hash of its export.

    Raises FormatOfAnotherMethod, NotExported, FileChanged.
    """
    if format != FORMATS[run.terms.method]:
        raise FormatOfAnotherMethod(f"this run is paid by {FORMATS[run.terms.method]}")
    expected = await find_file_hash(session, run.run_id, format)
    if expected is None or run.exported_at is None:
        raise NotExported("the run is not exported yet")
    lines = await find_lines(session, run.run_id, states=EXPORTED_EVER)
    payer = await find_payer(session, run.run_id)
    written = await write_payout_file(session, keyring, run, lines, payer=payer, created_at=run.exported_at, now=now)
    if written.sha256 != expected:
        raise FileChanged("the file is not the one that was exported")
    return written


def _instruction(run: PayoutRun, line: PayoutLine, details: PayoutDetails, country: str) -> PayoutInstruction:
    is_paypal = run.terms.method is Method.PAYPAL
    return PayoutInstruction(
        end_to_end_id=end_to_end_id_of(line.line_id),
        amount=Money(line.amount_minor, run.terms.currency),
        creditor_name=details.account_holder,
        country=country,
        remittance_text=f"Commissions up to {run.terms.up_to.isoformat()}, affiliate {line.affiliate_id}",
        iban=None if is_paypal else details.iban,
        account=None if is_paypal else details.account_number,
        bic=None if is_paypal else details.bic,
        paypal_receiver=details.paypal_email if is_paypal else None,
    )
