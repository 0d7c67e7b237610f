"""Groups of affiliates: who was in which, and when. Overrides of offers name them."""

from dataclasses import replace
from datetime import datetime
from typing import Final

from services.gateway.domain.intervals import closed, opened
from services.gateway.domain.parties import Affiliate, GroupMembership
from services.gateway.domain.refusals import CatalogueConflict, NotInCatalogue
from services.gateway.domain.term_rules import GROUP_NAME, GROUP_NAME_MESSAGE
from shared.kernel.errors import InvalidValue

GROUPS_MAX: Final = 50
GROUP_INTERVALS_MAX: Final = 100
"""What an affiliate is and was in: its event carries all of it."""


def check_group_name(name: str) -> str:
    """`name` itself. Raises InvalidValue."""
    if not GROUP_NAME.fullmatch(name):
        raise InvalidValue("group", "group_malformed", GROUP_NAME_MESSAGE)
    return name


def joined(affiliate: Affiliate, name: str, now: datetime) -> Affiliate:
    """The affiliate in the group from now on; itself where it is in it. Raises CatalogueConflict beyond the limits."""
    group = _membership(affiliate, name)
    if group is None:
        if len(affiliate.groups) >= GROUPS_MAX:
            message = f"an affiliate is and was in at most {GROUPS_MAX} groups"
            raise CatalogueConflict("affiliate_groups_exhausted", message)
        group = GroupMembership(name)
    elif group.intervals[-1].end_at is None:
        return affiliate
    elif len(group.intervals) >= GROUP_INTERVALS_MAX:
        message = f"an affiliate joins a group at most {GROUP_INTERVALS_MAX} times"
        raise CatalogueConflict("affiliate_groups_exhausted", message)
    return _with(affiliate, GroupMembership(name, opened(group.intervals, now)))


def departed(affiliate: Affiliate, name: str, now: datetime) -> Affiliate:
    """The affiliate out of the group from now on; itself where it left already. Raises NotInCatalogue."""
    group = _membership(affiliate, name)
    if group is None:
        raise NotInCatalogue("affiliate_group")
    if group.intervals[-1].end_at is not None:
        return affiliate
    return _with(affiliate, GroupMembership(name, closed(group.intervals, now)))


def _membership(affiliate: Affiliate, name: str) -> GroupMembership | None:
    return next((group for group in affiliate.groups if group.name == name), None)


def _with(affiliate: Affiliate, changed: GroupMembership) -> Affiliate:
    others = [group for group in affiliate.groups if group.name != changed.name]
    return replace(affiliate, groups=tuple(sorted([*others, changed], key=lambda group: group.name)))
