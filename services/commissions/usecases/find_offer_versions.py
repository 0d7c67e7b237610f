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
        missing = wanted - self._at_hand.keys()
        if missing:
            missing -= await self._read(session, missing)
        if missing:
            await lock_offer_version_arrivals(session)
            await self._read(session, missing)
        return {key: self._at_hand[key] for key in wanted if key in self._at_hand}

    async def _read(self, session: Session, keys: set[tuple[int, int]]) -> set[tuple[int, int]]:
        stored = await find_projected(session, [offer_version_key(*key) for key in sorted(keys)])
        found = {key for key in keys if offer_version_key(*key) in stored}
        for key in found:
            offer_version = _decode(stored[offer_version_key(*key)])
            if offer_version is not None:
                self._at_hand[key] = offer_version
        while len(self._at_hand) > OFFER_VERSIONS_AT_HAND_MAX + len(keys):
            self._at_hand.popitem(last=False)
        return found


def _decode(payload: bytes) -> OfferVersion | None:
    """The offer version, or None where its terms are unusable: its conversions then wait, visibly, for a repair."""
    try:
        event = CATALOGUE_DECODER.decode(payload)
        return read_offer_version(event) if isinstance(event, OfferVersionPublishedV1) else None
    except (EventUndecodable, InvalidValue, PricingImpossible):
        return None
