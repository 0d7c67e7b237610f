"""Caps: what an offer version lets a period take, and what a conversion asks of them.

Pure. What is reserved is read off a commission's grants: a cap's usage is the sum of them, and nothing else.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from services.commissions.domain.terms import PricingImpossible
from shared.contracts.catalogue import CapV1, MoneyV1
from shared.contracts.commissions import GrantV1
from shared.kernel.money import Money


@dataclass(frozen=True, slots=True)
class CapKey:
    """One cap in one period, for one party. affiliate_id: None for the whole offer's. currency: None where it counts.

    period: `2026-11-24`, `2026-11` or `total`, in UTC.
    """

    offer_id: int
    affiliate_id: int | None
    period: str
    currency: str | None
    name: str

    def __str__(self) -> str:
        party = "offer" if self.affiliate_id is None else f"affiliate:{self.affiliate_id}"
        return f"{self.offer_id}/{party}/{self.period}/{self.currency or 'count'}/{self.name}"

    @classmethod
    def of(cls, text: str) -> "CapKey":
        """The key that `text` spells."""
        offer_id, party, period, unit, name = text.split("/", 4)
        affiliate_id = None if party == "offer" else int(party.removeprefix("affiliate:"))
        return cls(int(offer_id), affiliate_id, period, None if unit == "count" else unit, name)


@dataclass(frozen=True, slots=True)
class Cap:
    """A limit of an offer version. limit: of charges (commission and margin), or a number of conversions."""

    name: str
    scope: Literal["offer", "affiliate"]
    period: Literal["day", "month", "total"]
    limit: Money | int
    event: str | None = None

    def counts(self, event: str) -> bool:
        """Whether conversions of `event` are under it."""
        return self.event in (None, event)

    def key(self, offer_id: int, affiliate_id: int, credited_at: datetime) -> CapKey:
        """Where a conversion is counted that was first credited by a version recorded at `credited_at` (UTC)."""
        periods = {"day": f"{credited_at:%Y-%m-%d}", "month": f"{credited_at:%Y-%m}", "total": "total"}
        return CapKey(
            offer_id,
            affiliate_id if self.scope == "affiliate" else None,
            periods[self.period],
            self.limit.currency if isinstance(self.limit, Money) else None,
            self.name,
        )

    @property
    def limit_number(self) -> int:
        """Minor units, or conversions."""
        return self.limit.amount_minor if isinstance(self.limit, Money) else self.limit


def read_cap(cap: CapV1) -> Cap:
    """The cap behind its wire form. Raises PricingImpossible unless it limits exactly one of amount and count."""
    if (cap.amount is None) == (cap.count is None):
        raise PricingImpossible("a cap limits an amount or a count, exactly one")
    limit: Money | int = cap.count or 0
    if cap.amount is not None:
        limit = Money(cap.amount.amount_minor, cap.amount.currency)
    return Cap(cap.name, cap.scope, cap.period, limit, cap.event)


def first_grants(
    asked: Sequence[tuple[Cap, CapKey]],
    charge: Money,
    used: Mapping[str, int],
    *,
    quantity: int = 1,
    is_released: bool = False,
) -> list[GrantV1]:
    """What the caps say to a conversion that asks for the first time: all of them grant, or nothing is reserved.

    used: reserved so far, by key. quantity: what a count counts it as, each click of a bundle. A cap in another
    currency than the charge's cannot count it, and refuses. is_released: finance lets it through; under a cap that it
    does not fit it is counted as released, beside it, and under every other one as reserved.
    """
    refusing = {str(key) for cap, key in asked if not _fits(cap, charge, quantity, used.get(str(key), 0))}
    if refusing and not is_released:
        return [GrantV1(key=str(key), is_granted=str(key) not in refusing) for _, key in asked]
    return [_granted(cap, key, charge, quantity, is_released=str(key) in refusing) for cap, key in asked]


def next_grants(
    grants: Sequence[GrantV1], caps: Iterable[Cap], charge: Money, used: Mapping[str, int], *, is_released: bool = False
) -> list[GrantV1]:
    """What the caps say to another price of a credited conversion: less is given back, more needs to fit.

    Where more does not fit under every cap, what was reserved stays, and nothing else changes. What finance once
    released is never raised but by finance: then what a cap has no room for is a grant of its own, beside what is
    reserved, so that a release frees no room. Less is given back from there first.
    """
    limits = {cap.name: cap.limit_number for cap in caps}
    held: dict[str, list[GrantV1]] = {}
    for grant in grants:
        held.setdefault(grant.key, []).append(grant)
    refusing = set()
    for key, parts in held.items():
        raised = 0 if parts[0].amount is None else charge.amount_minor - sum(map(reserved_by, parts))
        too_much = used.get(key, 0) + raised > limits.get(CapKey.of(key).name, 0)
        if raised > 0 and (too_much or any(part.is_released for part in parts)):
            refusing.add(key)
    if refusing and not is_released:
        return [
            msgspec.structs.replace(grant, is_granted=grant.key not in refusing or grant is not held[grant.key][0])
            for grant in grants
        ]
    return [part for key, parts in held.items() for part in _moved(parts, charge, is_beside=key in refusing)]


def _moved(parts: Sequence[GrantV1], charge: Money, *, is_beside: bool) -> list[GrantV1]:
    """What a credit holds under one cap, and beside it, at another price. is_beside: what is more goes beside it."""
    parts = [msgspec.structs.replace(part, is_granted=True) for part in parts]
    if parts[0].amount is None:
        return parts
    under, beside = ([part for part in parts if part.is_released is freed] for freed in (False, True))
    stays = sum(map(reserved_by, under)) if is_beside or beside else charge.amount_minor
    reserved = Money(min(stays, charge.amount_minor), charge.currency)
    moved = [msgspec.structs.replace(part, amount=_money(reserved)) for part in under]
    if is_beside or beside:
        like = beside[0] if beside else msgspec.structs.replace(under[0], is_released=True)
        moved.append(msgspec.structs.replace(like, amount=_money(charge - reserved)))
    return moved


def given_back(grants: Sequence[GrantV1]) -> list[GrantV1]:
    """The same grants with nothing reserved; none where nothing was."""
    if not any(reserved_by(grant) for grant in grants):
        return []
    return [
        msgspec.structs.replace(
            grant,
            amount=None if grant.amount is None else msgspec.structs.replace(grant.amount, amount_minor=0),
            count=None if grant.count is None else 0,
        )
        for grant in grants
    ]


def reserved_by(grant: GrantV1) -> int:
    """Minor units or conversions that it holds."""
    return grant.amount.amount_minor if grant.amount is not None else grant.count or 0


def _fits(cap: Cap, charge: Money, quantity: int, used: int) -> bool:
    if isinstance(cap.limit, Money):
        return charge.currency == cap.limit.currency and used + charge.amount_minor <= cap.limit.amount_minor
    return used + quantity <= cap.limit


def _granted(cap: Cap, key: CapKey, charge: Money, quantity: int, *, is_released: bool) -> GrantV1:
    if isinstance(cap.limit, Money):
        return GrantV1(key=str(key), is_granted=True, amount=_money(charge), is_released=is_released)
    return GrantV1(key=str(key), is_granted=True, count=quantity, is_released=is_released)


def _money(money: Money) -> MoneyV1:
    return MoneyV1(amount_minor=money.amount_minor, currency=money.currency)
