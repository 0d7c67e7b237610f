"""Decide what a credit depends on besides its own conversion: once, when its version is applied, for good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from services.commissions.domain.catalogue import OfferVersion
from services.commissions.domain.commission import Standing
from services.commissions.domain.postings import CreditVersion
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.commissions import NO_DECISIONS, DecisionsV1
from shared.runtime.database import Session


@dataclass(slots=True)
class CreditDecisions:
    """Of one batch. Loaded under locks after the conversions' and before the block's; saved with the posting."""

    @classmethod
    async def load(
        cls, session: Session, versions: Sequence[ConversionVersion], known: Mapping[tuple[int, int], OfferVersion]
    ) -> "CreditDecisions":
        """Everything that the batch's `versions` may ask for, which are applied in order of conversion and version."""
        return cls()

    def decide(self, standing: Standing | None, version: CreditVersion) -> DecisionsV1:
        """What holds for `version`, given what stands. Counts it, so that the next one of the batch sees it."""
        return NO_DECISIONS

    async def save(self, session: Session) -> None:
        """Write what was counted."""
