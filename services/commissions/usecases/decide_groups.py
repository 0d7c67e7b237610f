"""Decide which groups an affiliate's credit is priced by: those it was in at the click, once, for good."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec

from services.commissions.domain.catalogue import OfferVersion
from services.commissions.domain.commission import Standing
from services.commissions.domain.postings import CREDITED, CreditVersion
from services.commissions.storage.group_decision_store import find_group_decisions, find_groups
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.catalogue import IntervalV1
from shared.contracts.commissions import DecisionsV1
from shared.runtime.database import Session


@dataclass(slots=True)
class GroupDecisions:
    """The groups of one batch, by conversion. Empty, and without a statement, where no term names a group.

    What the first credit was decided by holds for all that follow: a membership that becomes known later, or a group
    that is left, moves nothing.
    """

    groups: dict[UUID, list[str]] = field(default_factory=dict)

    @classmethod
    async def load(
        cls,
        session: Session,
        versions: Sequence[ConversionVersion],
        known: Mapping[tuple[int, int], OfferVersion],
        standings: Mapping[UUID, Standing],
    ) -> "GroupDecisions":
        """Everything that `versions` may ask for, in two statements. Their conversions must be locked."""
        if not any(offer_version.groups for offer_version in known.values()):
            return cls()
        named = {each.conversion_id: found for each in versions if (found := _named(each, known))}
        decided = await find_group_decisions(session, sorted(named))
        first = [each for each in versions if each.conversion_id in named and each.conversion_id not in standings]
        memberships = await find_groups(session, {each.event.affiliate_id or 0 for each in first}) if first else {}
        for each in first:
            at = each.event.clicked_at or each.event.first_received_at
            groups = memberships.get(each.event.affiliate_id or 0, {})
            members = {name for name in named[each.conversion_id] if _was_in(groups.get(name, ()), at)}
            decided.setdefault(each.conversion_id, sorted(members))
        return cls(decided)

    def decide(self, version: CreditVersion, decisions: DecisionsV1) -> DecisionsV1:
        """`decisions` with the groups of a credited `version`; the same where its term asks for none of them."""
        groups = self.groups.get(version.conversion_id) if version.status in CREDITED else None
        return msgspec.structs.replace(decisions, groups=groups) if groups else decisions


def _named(version: ConversionVersion, known: Mapping[tuple[int, int], OfferVersion]) -> frozenset[str]:
    event = version.event
    offer_version = known.get((event.offer_id or 0, event.offer_version or 0))
    return frozenset() if offer_version is None else offer_version.groups.get(event.conversion_event, frozenset())


def _was_in(intervals: Sequence[IntervalV1], at: datetime) -> bool:
    return any(each.start_at <= at and (each.end_at is None or at < each.end_at) for each in intervals)
