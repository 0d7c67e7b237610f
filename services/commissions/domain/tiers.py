"""Rates by what an affiliate achieves in a period: which level is reached, and how an order is spread among levels."""

from fractions import Fraction

from services.commissions.domain.terms import Tiers


def level_at(tiers: Tiers, achieved: Fraction | int) -> int:
    """The number, from 0, of the highest level that `achieved` reaches: conversions, or revenue in minor units."""
    return max(number for number, tier in enumerate(tiers.tiers) if number == 0 or tier.begins_at <= achieved)


def spread(tiers: Tiers, *, before: Fraction | int, size: Fraction | int) -> tuple[tuple[int, Fraction], ...]:
    """Where an order lies when each level counts for what lies in it: (level, share), the shares come to one.

    before: achieved in the period before this order; size: what the order adds (1 conversion, or its revenue). The
    level of `begins_at` n takes what is above n: of conversions 0 and 10, the first ten are at level 0.
    An order of size zero lies where it stands.
    """
    if size <= 0:
        return ((level_at(tiers, before), Fraction(1)),)
    starts = [Fraction(tier.begins_at) for tier in tiers.tiers]
    starts[0] = min(starts[0], Fraction(before))
    shares: list[tuple[int, Fraction]] = []
    for level, start in enumerate(starts):
        end = starts[level + 1] if level + 1 < len(starts) else None
        upper = Fraction(before) + size if end is None else min(Fraction(before) + size, end)
        inside = upper - max(Fraction(before), start)
        if inside > 0:
            shares.append((level, inside / size))
    return tuple(shares)


def levels_of(
    tiers: Tiers, *, achieved: Fraction | int, before: Fraction | int, size: Fraction | int
) -> tuple[tuple[int, Fraction], ...]:
    """Where an order lies once its period's total is known: for `Given.levels`, when a period is trued up.

    step: all of it at the level that the total reached. marginal: see `spread`.
    """
    if tiers.mode == "step":
        return ((level_at(tiers, achieved), Fraction(1)),)
    return spread(tiers, before=before, size=size)
