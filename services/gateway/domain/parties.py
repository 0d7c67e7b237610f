"""Merchants and affiliates, as the network knows them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from services.gateway.domain.intervals import Interval

PartyStatus = Literal["active", "suspended"]


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who pays for results."""

    merchant_id: int
    name: str
    status: PartyStatus
    created_at: datetime


@dataclass(frozen=True, slots=True)
class GroupMembership:
    """When an affiliate was in a group, oldest first; the last interval may be open."""

    name: str
    intervals: tuple[Interval, ...] = ()


@dataclass(frozen=True, slots=True)
class Affiliate:
    """Who earns for results it caused. referred_by: who brought it, for good. groups: by name, also those it left."""

    affiliate_id: int
    name: str
    status: PartyStatus
    created_at: datetime
    referred_by: int | None = None
    groups: tuple[GroupMembership, ...] = ()
