"""How parties and offers are called, from the stored projection of the catalogue."""

from collections.abc import Mapping
from typing import Final

import msgspec

from services.commissions.domain.statement import Cut, Party
from shared.contracts.catalogue import affiliate_key, merchant_key
from shared.runtime.database import Session

_OFFERS: Final = """
    SELECT payload FROM projection_entry WHERE event_type = 'offer_changed' AND key IN (
        SELECT DISTINCT 'offer:' || t.offer_id
        FROM ledger_entry AS e JOIN ledger_transaction AS t USING (transaction_id) JOIN block USING (posting_id)
        WHERE (e.merchant_id = $1::int OR e.affiliate_id = $2::int) AND e.currency = $3::char(3)
            AND block.number > $4 AND block.number <= $5 AND t.offer_id IS NOT NULL
    )
"""


class _Named(msgspec.Struct):
    """The part of a party's or an offer's state that is read here."""

    name: str
    offer_id: int = 0


_decoder = msgspec.json.Decoder(_Named)


async def find_party_name(session: Session, party: Party) -> str | None:
    """What the party is called now; None while its event has not arrived."""
    key = merchant_key(party.merchant_id) if party.merchant_id is not None else affiliate_key(party.affiliate_id or 0)
    connection = await session.connection()
    found = await connection.exec_driver_sql("SELECT payload FROM projection_entry WHERE key = $1", (key,))
    row = found.one_or_none()
    return None if row is None else _decoder.decode(row.payload).name


async def find_offer_names(session: Session, party: Party, *, currency: str, cut: Cut) -> Mapping[int, str]:
    """What the offers of the party's lines up to the cut are called now, by offer id, in that order."""
    connection = await session.connection()
    values = (party.merchant_id, party.affiliate_id, currency, cut.before_number, cut.number)
    found = await connection.exec_driver_sql(_OFFERS, values)
    offers = [_decoder.decode(row.payload) for row in found]
    return {offer.offer_id: offer.name for offer in sorted(offers, key=lambda each: each.offer_id)}
