"""Every topic of the platform in one table: the system on one screen.

gateway ──catalogue.v1──▶ clicks, conversions, commissions
clicks ──clicks.v1──▶ clicks (click log), conversions (click index)
clicks ──billable_clicks.v1──▶ conversions (offers that pay for clicks)
conversions ──conversions.v1──▶ commissions
commissions ──commissions.v1──▶ gateway (offers pause at an exhausted balance), outside systems
conversions ──erasures.v1──▶ clicks ──clicks-erased.v1──▶ conversions
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic.

    key: what orders its events ("none": unordered). retention_days: None keeps events for ever. compacted: the last
    event of each key is enough to rebuild the state; such a topic never carries a secret nor a tombstone.
    """

    name: str
    key: str
    producer: str
    consumers: tuple[str, ...]
    partitions: int
    retention_days: int | None
    compacted: bool = False


CATALOGUE: Final = "catalogue.v1"
CLICKS: Final = "clicks.v1"
BILLABLE_CLICKS: Final = "billable_clicks.v1"
CONVERSIONS: Final = "conversions.v1"
COMMISSIONS: Final = "commissions.v1"
ERASURES: Final = "erasures.v1"
CLICKS_ERASED: Final = "clicks-erased.v1"

TOPICS: Final[Mapping[str, Topic]] = MappingProxyType(
    {
        topic.name: topic
        for topic in (
            Topic(
                name=CATALOGUE,
                key="offer:{id} | offer:{id}:v{n} | enrolment:{offer}:{affiliate} | merchant:{id} | affiliate:{id}",
                producer="gateway",
                consumers=("clicks", "conversions", "commissions"),
                partitions=1,
                retention_days=None,
                compacted=True,
            ),
            Topic(
                name=CLICKS,
                key="none",
                producer="clicks",
                consumers=("clicks", "conversions"),
                partitions=6,
                retention_days=30,
            ),
            Topic(
                name=BILLABLE_CLICKS,
                key="affiliate id",
                producer="clicks",
                consumers=("conversions",),
                partitions=6,
                retention_days=None,
            ),
            Topic(
                name=CONVERSIONS,
                key="conversion id",
                producer="conversions",
                consumers=("commissions",),
                partitions=6,
                retention_days=None,
            ),
            Topic(
                name=COMMISSIONS,
                key="affiliate id | merchant:{id}",
                producer="commissions",
                consumers=("gateway",),
                partitions=6,
                retention_days=None,
            ),
            Topic(
                name=ERASURES,
                key="none",
                producer="conversions",
                consumers=("clicks",),
                partitions=1,
                retention_days=30,
            ),
            Topic(
                name=CLICKS_ERASED,
                key="none",
                producer="clicks",
                consumers=("conversions",),
                partitions=1,
                retention_days=30,
            ),
        )
    }
)
