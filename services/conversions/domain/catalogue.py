"""What conversions knows of merchants and offers: that they are there, versions, and whose they are.

Status and enrolment are the click's business.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class OfferVersion:
    """One immutable offer version.

    window_min_seconds, window_max_seconds: age of a click that converts, both inclusive. late_hours: how late a batch
    may report. needs_amount: by event of the terms, whether the order's amount decides the commission.
    recurring_months: by event whose later orders count for the affiliate that brought the customer, for how many
    months from the first (0: for life). pays_clicks: a valid click is an event of its own, which nobody reports.
    """

    offer_id: int
    version: int
    merchant_id: int
    window_min_seconds: int
    window_max_seconds: int
    late_hours: int
    validation_days: int
    needs_amount: Mapping[str, bool]
    recurring_months: Mapping[str, int] = field(default_factory=dict)
    pays_clicks: bool = False

    @property
    def is_recurring(self) -> bool:
        """True when a first order on it makes an affiliate own the customer."""
        return bool(self.recurring_months)


class Catalogue:
    """Offer versions in memory; fed change by change, in any order."""

    def __init__(self) -> None:
        self._versions: dict[tuple[int, int], OfferVersion] = {}
        self._merchants: dict[int, int] = {}
        self._known_merchants: set[int] = set()

    def put_version(self, version: OfferVersion) -> None:
        """Learn a version."""
        self._versions[version.offer_id, version.version] = version
        self.put_offer(version.offer_id, version.merchant_id)

    def put_offer(self, offer_id: int, merchant_id: int) -> None:
        """Learn whose an offer is."""
        self._merchants[offer_id] = merchant_id
        self.put_merchant(merchant_id)

    def put_merchant(self, merchant_id: int) -> None:
        """Learn that there is such a merchant; a suspended one stays one."""
        self._known_merchants.add(merchant_id)

    def knows_merchant(self, merchant_id: int) -> bool:
        """True once anything of the merchant has arrived."""
        return merchant_id in self._known_merchants

    def find_version(self, offer_id: int, version: int) -> OfferVersion | None:
        """The version, or None when it has not arrived yet."""
        return self._versions.get((offer_id, version))

    def merchant_of(self, offer_id: int) -> int | None:
        """The offer's merchant, or None when nothing of the offer has arrived yet."""
        return self._merchants.get(offer_id)
