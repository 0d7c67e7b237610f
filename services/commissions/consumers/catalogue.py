"""catalogue.v1 → the stored projection, and the conversions that waited for it."""

from collections.abc import Sequence

from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.learn_catalogue import learn_catalogue
from shared.kernel.clock import Clock
from shared.runtime.consumer import Received
from shared.runtime.database import Session


class CatalogueHandler:
    """The event door of the catalogue."""

    def __init__(self, offer_versions: OfferVersions, clock: Clock, *, rate_days_max: int = RATE_DAYS_MAX) -> None:
        self._offer_versions = offer_versions
        self._clock = clock
        self._rate_days_max = rate_days_max

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Store `batch` and go on with what waited; harmless when it comes again."""
        await learn_catalogue(
            session,
            batch,
            offer_versions=self._offer_versions,
            clock=self._clock,
            rate_days_max=self._rate_days_max,
        )
