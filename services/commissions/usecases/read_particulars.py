"""What stands around a statement's amounts: the network's letterhead, the party's name, the offers' names."""

from services.commissions.domain.statement import Statement
from services.commissions.domain.statement_document import Letterhead, Particulars, StatementDocument, party_label
from services.commissions.storage.name_store import find_offer_names, find_party_name
from shared.runtime.database import Session


async def read_document(session: Session, statement: Statement, *, issuer: Letterhead) -> StatementDocument:
    """The statement as a draft: with the names as they are now. A party that is not known yet goes by its id."""
    name = await find_party_name(session, statement.party)
    offer_names = await find_offer_names(session, statement.party, currency=statement.currency, cut=statement.cut)
    party = Letterhead(name or party_label(statement.party))
    return StatementDocument(statement, Particulars(issuer=issuer, party=party, offer_names=offer_names))
