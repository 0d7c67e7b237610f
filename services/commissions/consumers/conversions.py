"""conversions.v1 → the ledger."""

from collections.abc import Sequence
from datetime import timedelta

from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.usecases.apply_conversions import apply_conversions
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.conversions import CONVERSIONS_DECODER, ConversionChangedV1
from shared.kernel.clock import Clock
from shared.kernel.errors import TributaryError
from shared.kernel.ids import is_party_id
from shared.runtime.consumer import Received, UnprocessableEvent
from shared.runtime.database import Session


class ConversionsHandler:
    """The event door of conversions: a batch becomes one posting."""

    def __init__(self, offer_versions: OfferVersions, clock: Clock, *, rate_days_max: int = RATE_DAYS_MAX) -> None:
        self._offer_versions = offer_versions
        self._clock = clock
        self._rate_days_max = rate_days_max

    async def __call__(self, session: Session, batch: Sequence[Received]) -> None:
        """Apply `batch`; harmless when it comes again. Raises UnprocessableEvent for what can never be credited."""
        versions = [_read(received) for received in batch]
        try:
            await apply_conversions(
                session,
                versions,
                offer_versions=self._offer_versions,
                clock=self._clock,
                rate_days_max=self._rate_days_max,
            )
        except TributaryError as refused:
            raise UnprocessableEvent(f"{refused.code}: {refused}") from None


def _read(received: Received) -> ConversionVersion:
    event: ConversionChangedV1 = CONVERSIONS_DECODER.decode(received.payload)
    parties = (event.merchant_id, event.affiliate_id, event.offer_id)
    if event.version < 1 or not all(is_party_id(party) for party in parties if party is not None):
        raise UnprocessableEvent("version or a party's id is out of range")
    if event.occurred_at.utcoffset() != timedelta(0):
        raise UnprocessableEvent("occurred_at must be in UTC")
    try:
        return ConversionVersion(event, received.payload)
    except ValueError:
        raise UnprocessableEvent("conversion_id is not a UUID") from None
