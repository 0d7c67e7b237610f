"""Decide what a credit depends on besides its own conversion: once, when its version is applied, for good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from services.commissions.domain.catalogue import OfferVersion
from services.commissions.domain.commission import Standing
from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.domain.postings import CreditVersion
from services.commissions.usecases.decide_groups import GroupDecisions
from services.commissions.usecases.freeze_rate import RateDecisions
from services.commissions.usecases.grant_caps import CapGrants
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.commissions import DecisionsV1
from shared.runtime.database import Session


@dataclass(slots=True)
class CreditDecisions:
    """Of one batch. Loaded under locks after the conversions' and before the block's; saved with the posting."""

    rates: RateDecisions = field(default_factory=RateDecisions)
    groups: GroupDecisions = field(default_factory=GroupDecisions)
    caps: CapGrants = field(default_factory=CapGrants)

    @classmethod
    async def load(
        cls,
        session: Session,
        versions: Sequence[ConversionVersion],
        known: Mapping[tuple[int, int], OfferVersion],
        standings: Mapping[UUID, Standing],
        *,
        rate_days_max: int = RATE_DAYS_MAX,
    ) -> "CreditDecisions":
        """Everything that the batch's `versions` may ask for. Conversions are asked in the order of recording."""
        rates = await RateDecisions.load(session, versions, known, days_max=rate_days_max)
        groups = await GroupDecisions.load(session, versions, known, standings)
        return cls(rates, groups, await CapGrants.load(session, versions, known, standings))

    def decide(self, standing: Standing | None, version: CreditVersion) -> DecisionsV1:
        """What holds for `version`, given what stands. Caps come last: they count the price that the others make."""
        decisions = self.groups.decide(version, self.rates.decide(standing, version))
        return self.caps.decide(standing, version, decisions)

    def release(self, standing: Standing, version: CreditVersion, last: DecisionsV1) -> DecisionsV1:
        """What holds when finance releases what is withheld. last: what was decided in the conversion's last step."""
        decisions = self.rates.release(version, msgspec.structs.replace(last, grants=[]))
        return decisions if decisions.held is not None else self.caps.release(standing, version, decisions)

    def settle(self, before: Standing | None, after: Standing | None) -> None:
        """Count what a version came to, so that the next one of the batch sees it."""
        self.caps.settle(before, after)

    async def save(self, session: Session) -> None:
        """Write what was counted."""
        await self.rates.save(session)
        await self.caps.save(session)
