"""Reserve under the caps of a batch's offer versions: atomically, first recorded, first granted (ADR 0013)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from services.commissions.domain.caps import (
    Cap,
    CapKey,
    first_grants,
    given_back,
    next_grants,
    reserved_by,
)
from services.commissions.domain.catalogue import OfferVersion
from services.commissions.domain.commission import WITHHELD, CommissionStatus, Standing
from services.commissions.domain.postings import CREDITED, CreditVersion, target_price
from services.commissions.storage.cap_store import CapRow, CapUsage, lock_caps, save_caps
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.commissions import DecisionsV1, GrantV1
from shared.runtime.database import Session, after_commit
from shared.runtime.metrics import counter

_refusals = counter("cap_refusals", unit="credits", meaning="Credits, or raises of one, that a cap had no room for")


@dataclass(slots=True)
class CapGrants:
    """The caps of one batch, locked until its transaction ends. Empty, and without a statement, where none has caps."""

    usages: dict[str, CapUsage] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)
    refusals: int = 0

    @classmethod
    async def load(
        cls,
        session: Session,
        versions: Sequence[ConversionVersion],
        known: Mapping[tuple[int, int], OfferVersion],
        standings: Mapping[UUID, Standing],
    ) -> "CapGrants":
        """Lock every cap that the batch may ask, in key order, after its conversions and before the block."""
        if not any(offer_version.caps for offer_version in known.values()):
            return cls()
        rows = {str(row.key): row for version in versions for row in _rows(version, known, standings)}
        held = {grant.key for standing in standings.values() for grant in standing.grants}
        return cls(await lock_caps(session, list(rows.values()), sorted(held))) if rows or held else cls()

    def decide(self, standing: Standing | None, version: CreditVersion, decisions: DecisionsV1) -> DecisionsV1:
        """`decisions` with what the caps say to `version`; the same where they say nothing new.

        What was decided stays: a refusal waits for finance, a grant changes only with the price. Raises
        PricingImpossible.
        """
        grants = self._grants(standing, version, decisions) if version.caps else []
        return msgspec.structs.replace(decisions, grants=grants) if grants else decisions

    def release(self, standing: Standing, version: CreditVersion, decisions: DecisionsV1) -> DecisionsV1:
        """`decisions` with what finance releases: under its caps where there is room by now, else beside them.

        What is held asks for the first time, and may turn out over its cap. Raises PricingImpossible.
        """
        price = target_price(version, decisions)
        charge = price.commission + price.margin
        is_asked = standing.status is not CommissionStatus.HELD
        if standing.status in WITHHELD:
            caps = {cap.name: cap for cap in version.caps}
            asked = [(caps[key.name], key) for grant in standing.grants if (key := CapKey.of(grant.key)).name in caps]
            grants = first_grants(asked, charge, self._used(), quantity=version.quantity, is_released=is_asked)
        else:
            grants = next_grants(standing.grants, version.caps, charge, self._used(), is_released=True)
        return msgspec.structs.replace(decisions, grants=grants) if grants else decisions

    def settle(self, before: Standing | None, after: Standing | None) -> None:
        """Count what changed hands, so that the next version of the batch sees it."""
        if before is after or not self.usages:
            return
        old, new = (() if each is None else each.grants for each in (before, after))
        if old == new:
            return
        self._count(old, -1)
        self._count(new, +1)
        self.refusals += any(not grant.is_granted for grant in new)

    async def save(self, session: Session) -> None:
        """Write what changed."""
        if self.changed:
            await save_caps(session, {key: self.usages[key] for key in sorted(self.changed)})
        if self.refusals:
            refusals = self.refusals
            after_commit(session, lambda: _refusals.inc(refusals))

    def _grants(self, standing: Standing | None, version: CreditVersion, decisions: DecisionsV1) -> list[GrantV1]:
        if version.status not in CREDITED:
            return [] if standing is None else given_back(standing.grants)
        if standing is None:
            asked = _asked(version.caps, version)
            if decisions.held is not None:
                return [GrantV1(key=str(key), is_granted=True) for _, key in asked]
            price = target_price(version, decisions)
            charge = price.commission + price.margin
            return first_grants(asked, charge, self._used(), quantity=version.quantity)
        if standing.status in WITHHELD or standing.status is CommissionStatus.REVERSED:
            return []
        price = target_price(version, decisions)
        stands = standing.target
        if (price.commission, price.margin) == (
            (standing.commission, standing.margin) if stands is None else (stands.commission, stands.margin)
        ):
            return []
        return next_grants(standing.grants, version.caps, price.commission + price.margin, self._used())

    def _used(self) -> Mapping[str, int]:
        return {key: usage.reserved for key, usage in self.usages.items()}

    def _count(self, grants: Iterable[GrantV1], sign: int) -> None:
        for grant in grants:
            number = sign * reserved_by(grant)
            if number:
                usage = self.usages[grant.key]
                self.changed.add(grant.key)
                self.usages[grant.key] = (
                    CapUsage(usage.reserved, usage.released + number)
                    if grant.is_released
                    else CapUsage(usage.reserved + number, usage.released)
                )


def _rows(
    version: ConversionVersion, known: Mapping[tuple[int, int], OfferVersion], standings: Mapping[UUID, Standing]
) -> list[CapRow]:
    """The rows that `version` asks for should it be the first credit of its conversion."""
    event = version.event
    if version.conversion_id in standings or event.status not in CREDITED:
        return []
    if event.affiliate_id is None or event.offer_id is None or event.offer_version is None:
        return []
    offer_version = known.get((event.offer_id, event.offer_version))
    caps = () if offer_version is None else offer_version.caps_on(event.conversion_event)
    keys = [cap.key(event.offer_id, event.affiliate_id, event.occurred_at) for cap in caps]
    return [CapRow(key, event.merchant_id) for key in keys]


def _asked(caps: Iterable[Cap], version: CreditVersion) -> list[tuple[Cap, CapKey]]:
    return [(cap, cap.key(version.offer_id, version.affiliate_id, version.occurred_at)) for cap in caps]
