"""Find the offer versions that price a batch: immutable, so once read they stay at hand."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from services.commissions.domain.catalogue import OfferVersion, read_offer_version
from services.commissions.domain.terms import PricingImpossible
from services.commissions.storage.commission_store import find_projected, lock_offer_version_arrivals
from shared.contracts.catalogue import CATALOGUE_DECODER, OfferVersionPublishedV1, offer_version_key
from shared.contracts.events import EventUndecodable
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session

OFFER_VERSIONS_AT_HAND_MAX: Final = 10_000


class OfferVersions:
    """Reads offer versions from the stored projection of the catalogue. One per process."""

    def __init__(self) -> None:
        self._at_hand: OrderedDict[tuple[int, int], OfferVersion] = OrderedDict()

    async def find(self, session: Session, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], OfferVersion]:
        """Those of `keys` (offer, version) that have arrived.

        Where one is missing it looks again under the arrivals' lock, which the transaction then keeps: what is parked
        for want of a version cannot miss its arrival. Call before taking row locks.
        """
        wanted = set(keys)
        found = {key: self._at_hand[key] for key in wanted if key in self._at_hand}
        if wanted - found.keys():
            found |= await self._read(session, wanted - found.keys())
        if wanted - found.keys():
            await lock_offer_version_arrivals(session)
            found |= await self._read(session, wanted - found.keys())
        return found

    async def find_stored(self, session: Session, key: tuple[int, int]) -> OfferVersion | None:
        """One that has arrived, for readers that park nothing: takes no lock."""
        if key not in self._at_hand:
            return (await self._read(session, {key})).get(key)
        return self._at_hand[key]

    async def _read(self, session: Session, keys: Iterable[tuple[int, int]]) -> dict[tuple[int, int], OfferVersion]:
        stored = await find_projected(session, [offer_version_key(*key) for key in sorted(keys)])
        read = {key: _decode(stored[name]) for key in keys if (name := offer_version_key(*key)) in stored}
        usable = {key: offer_version for key, offer_version in read.items() if offer_version is not None}
        self._at_hand.update(usable)
        while len(self._at_hand) > OFFER_VERSIONS_AT_HAND_MAX:
            self._at_hand.popitem(last=False)
        return usable


def _decode(payload: bytes) -> OfferVersion | None:
    """The offer version, or None where its terms are unusable: its conversions then wait, visibly, for a repair."""
    try:
        event = CATALOGUE_DECODER.decode(payload)
        return read_offer_version(event) if isinstance(event, OfferVersionPublishedV1) else None
    except (EventUndecodable, InvalidValue, PricingImpossible):
        return None
