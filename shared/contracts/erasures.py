"""erasures.v1 and clicks-erased.v1: which clicks are to be erased, and which have been. Nothing but click IDs travels.

Natural key of both: erasure and click ID. A click ID means nothing once what the click recorded is gone.
"""

from shared.contracts.events import Event, EventDecoder


class ErasureRequestedV1(Event, frozen=True, kw_only=True, tag="erasure_requested"):
    """One click whose shopper's values are to go, from every table and log. erasure_id: UUID of the request."""

    erasure_id: str
    click_id: str


class ClickErasedV1(Event, frozen=True, kw_only=True, tag="click_erased"):
    """They are gone from clicks, and nothing that arrives later brings them back. Fields: as requested."""

    erasure_id: str
    click_id: str


ERASURES_DECODER = EventDecoder.of(ErasureRequestedV1)
CLICKS_ERASED_DECODER = EventDecoder.of(ClickErasedV1)
