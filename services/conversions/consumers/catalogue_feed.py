"""Turns the stored projection of catalogue.v1 into the view in memory."""

from services.conversions.domain.catalogue import Catalogue
from services.conversions.usecases.learn_catalogue import learn_catalogue
from shared.contracts.events import EventUndecodable
from shared.runtime.logging import get_logger

_log = get_logger(__name__)


class CatalogueFeed:
    """Applies one change at a time. An entry that cannot be read is logged; the others go on."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    def __call__(self, key: str, payload: bytes) -> None:
        """Take the present state of `key`."""
        try:
            learn_catalogue(self._catalogue, payload)
        except EventUndecodable as fault:
            _log.error("catalogue_entry_unusable", key=key, reason=str(fault))
