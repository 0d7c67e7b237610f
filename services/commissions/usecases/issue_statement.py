"""Give a statement its number: freeze what stands around its amounts, store it, and announce it."""

from dataclasses import dataclass, replace
from datetime import datetime

from services.commissions.domain.statement import Party, Statement
from services.commissions.domain.statement_document import Letterhead
from services.commissions.domain.statement_lifecycle import (
    StatementState,
    StatementStep,
    StatementTransitionRefused,
    next_state,
    number_text,
    series_of,
    title_of_series,
)
from services.commissions.domain.tax import tax_lines_of
from services.commissions.storage.issued_store import IssuedStatement, insert_statement, last_number
from services.commissions.usecases.read_particulars import read_particulars
from services.commissions.usecases.read_statement import StatementRequest, read_statement
from shared.contracts.commissions import StatementFinalisedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import COMMISSIONS
from shared.kernel.ids import new_id
from shared.kernel.period import Period
from shared.runtime.database import Session
from shared.runtime.outbox import OutgoingEvent, append


@dataclass(frozen=True, slots=True)
class StatementKey:
    """Whose month it is, in which currency."""

    party: Party
    period: Period
    currency: str


async def issue_statement(
    session: Session, key: StatementKey, *, issuer: Letterhead, now: datetime, replaces: str | None = None
) -> IssuedStatement:
    """The statement with the next number of its series. Only under the lock of numbers.

    replaces: the number of the void one. Raises StatementTransitionRefused while the period is open.
    """
    next_state(StatementState.DRAFT, StatementStep.FINALISE)
    statement = await read_statement(session, StatementRequest(key.party, key.period, key.currency, None))
    if not statement.cut.is_final:
        raise StatementTransitionRefused("its period is not closed yet")
    particulars = await read_particulars(session, statement, issuer=issuer)
    series = series_of(key.party, particulars.tax)
    n = await last_number(session, series) + 1
    number = number_text(series, n)
    tax = None if particulars.tax is None else tax_lines_of(statement, particulars.tax)
    issued = IssuedStatement(
        number=number,
        party=key.party,
        period=key.period,
        currency=key.currency,
        block_number=statement.cut.number,
        particulars=replace(particulars, number=number, title=title_of_series(series), replaces=replaces),
        opening_minor=statement.opening_minor,
        closing_minor=statement.closing_minor,
        net_minor=None if tax is None else tax.net_minor,
        vat_minor=None if tax is None else tax.vat_minor,
        finalised_at=now,
        replaces=replaces,
    )
    await insert_statement(session, issued, series=series, n=n)
    await append(session, [_announcement(issued, statement)])
    return issued


def _announcement(issued: IssuedStatement, statement: Statement) -> OutgoingEvent:
    word = StatementFinalisedV1(
        event_id=new_id(),
        occurred_at=issued.finalised_at,
        number=issued.number,
        merchant_id=issued.party.merchant_id,
        affiliate_id=issued.party.affiliate_id,
        period=str(issued.period),
        currency=issued.currency,
        block_number=issued.block_number,
        block_hash=statement.cut.hash.hex(),
        replaces=issued.replaces,
    )
    return OutgoingEvent(COMMISSIONS, party_key(issued.party), word.event_id, encode_event(word))


def party_key(party: Party) -> bytes:
    """The key of a party's events: an affiliate's id, or `merchant:{id}`."""
    affiliate_id = party.affiliate_id
    return (f"merchant:{party.merchant_id}" if affiliate_id is None else str(affiliate_id)).encode()
