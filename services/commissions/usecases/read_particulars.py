"""What stands around a statement's amounts: letterhead, the party's name and tax settings, the offers' names."""

from datetime import timedelta

from services.commissions.domain.statement import Party, Statement
from services.commissions.domain.statement_document import Letterhead, Particulars, StatementDocument, party_label
from services.commissions.domain.tax import TaxSettings
from services.commissions.storage.issued_store import IssuedStatement, find_current
from services.commissions.storage.name_store import find_offer_names, find_party_name
from services.commissions.storage.tax_store import find_tax_settings
from services.commissions.usecases.read_statement import StatementRequest, read_statement
from shared.kernel.period import Period
from shared.runtime.database import Session


async def read_particulars(session: Session, statement: Statement, *, issuer: Letterhead) -> Particulars:
    """As they are now. The party goes by its legal name, else by its name, else, before that arrives, by its id."""
    party = statement.party
    settings = await find_settings_of(session, party, statement.period)
    offer_names = await find_offer_names(session, party, currency=statement.currency, cut=statement.cut)
    if settings is None:
        addressee = Letterhead(await find_party_name(session, party) or party_label(party))
    else:
        addressee = Letterhead(settings.legal_name, settings.address, settings.tax_id)
    return Particulars(issuer=issuer, party=addressee, offer_names=offer_names, tax=settings)


async def find_settings_of(session: Session, party: Party, period: Period) -> TaxSettings | None:
    """The tax settings that hold at the end of `period`."""
    found = await find_tax_settings(session, party, on=(period.end - timedelta(days=1)).date())
    return None if found is None else found.settings


async def read_document(session: Session, statement: Statement, *, issuer: Letterhead) -> StatementDocument:
    """With the particulars that were frozen with its number; of one without a number, with those of now."""
    if statement.cut.is_final:
        issued = await find_current(session, statement.party, period=statement.period, currency=statement.currency)
        if issued is not None:
            return StatementDocument(statement, issued.particulars)
    return StatementDocument(statement, await read_particulars(session, statement, issuer=issuer))


async def read_issued_document(session: Session, issued: IssuedStatement) -> StatementDocument:
    """A numbered statement, void or not: its own cut with its own particulars."""
    request = StatementRequest(issued.party, issued.period, issued.currency, issued.block_number or None)
    return StatementDocument(await read_statement(session, request), issued.particulars)
