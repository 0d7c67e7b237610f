"""Merchants and affiliates, as the network knows them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PartyStatus = Literal["active", "suspended"]


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who pays for results."""

    merchant_id: int
    name: str
    status: PartyStatus
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Affiliate:
    """Who earns for results it caused."""

    affiliate_id: int
    name: str
    status: PartyStatus
    created_at: datetime
