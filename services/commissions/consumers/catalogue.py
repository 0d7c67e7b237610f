"""catalogue.v1 → the stored projection, and the conversions that waited for it."""

from collections.abc import Sequence

from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.learn_catalogue import learn_catalogue
from shared.kernel.clock import Clock
from shared.runtime.consumer import Received
from shared.runtime.database import Session


class CatalogueHandler:
    """The event door of the catalogue."""

    def __init__(self, offer_versions: OfferVersions, clock: Clock) -> None:
        self._offer_versions = offer_versions
        self._clock = clock

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Store `batch` and go on with what waited; harmless when it comes again."""
        await learn_catalogue(session, batch, offer_versions=self._offer_versions, clock=self._clock)
