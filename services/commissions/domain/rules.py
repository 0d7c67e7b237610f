"""Which rate decides for which part of an order, and why those that were asked before it did not.

Order of asking: the affiliate's own override, then overrides of its groups as they stand in the term; there, or in the
term itself, the rules by rank; then the level of the tiers; then the rate of its own. An override decides for good: the
term's own rules and tiers are not asked behind it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from services.commissions.domain.orders import Base, Exchange, Line, Order, exchanged
from services.commissions.domain.terms import (
    LINE_FACTS,
    Condition,
    Override,
    PricingImpossible,
    Rate,
    RichTerm,
    Rule,
)
from shared.kernel.money import exponent_of

FIRST_LEVEL: Final = ((0, Fraction(1)),)


@dataclass(frozen=True, slots=True)
class Given:
    """What a price depends on besides the order. groups: at the click.

    levels: of the tiers, with the share of the order that lies in each; the shares come to one.
    """

    affiliate_id: int
    groups: tuple[str, ...] = ()
    levels: tuple[tuple[int, Fraction], ...] = FIRST_LEVEL
    exchange: Exchange | None = None


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A rule that was asked and did not hold. condition: the first of its conditions that failed. found: the fact."""

    rank: int
    name: str
    condition: Condition
    found: str | None


@dataclass(frozen=True, slots=True)
class Winner:
    """What decided. rank, name: of a rule. level: of the tiers, from 0. override: whose rules and rates were asked."""

    kind: Literal["rule", "override", "tier", "own_rate"]
    rank: int | None = None
    name: str | None = None
    level: int | None = None
    override: Literal["affiliate", "group"] | None = None
    group: str | None = None


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the order with the rate that decided for it.

    lines: numbers of its lines, from 1; is_rest: with what is in no line. base: exact minor units, None where the
    order has no amount. units: how often a flat amount counts; share: how much of it lies at a tier's level.
    """

    winner: Winner
    rate: Rate
    passed_over: tuple[PassedOver, ...]
    lines: tuple[int, ...]
    is_rest: bool
    base: Fraction | None
    units: Fraction


@dataclass(frozen=True, slots=True)
class _Choice:
    rule: Rule | None
    passed_over: tuple[PassedOver, ...]


def parts_of(term: RichTerm, order: Order, base: Base | None, given: Given) -> tuple[Part, ...]:
    """The parts of an order, each with what decides for it: together they are the whole of it.

    Lines are parts of their own only where a rule asks about lines. A flat amount of a rule about lines counts for
    every piece of its lines; every other one once for the conversion, or for each click of a bundle.
    """
    override = _override_of(term, given)
    rules = term.rules if override is None else override.rules
    lines = order.facts.lines if any(rule.is_of_lines for rule in rules) else ()
    chosen: dict[_Choice, list[int]] = {}
    if base is None or not lines or base.has_rest:
        chosen[_choose(rules, order, None, given)] = [0]
    for number, line in enumerate(lines, start=1):
        chosen.setdefault(_choose(rules, order, line, given), []).append(number)
    parts: list[Part] = []
    has_order_part = False
    for choice, numbers in chosen.items():
        is_of_lines = choice.rule is not None and choice.rule.is_of_lines
        units = sum(lines[number - 1].quantity for number in numbers) if is_of_lines else int(not has_order_part)
        has_order_part = has_order_part or not is_of_lines
        parts += _parts(
            term, override, choice, numbers, _base(base, numbers, bool(lines)), units * order.quantity, given
        )
    return tuple(parts)


def _override_of(term: RichTerm, given: Given) -> Override | None:
    own = (each for each in term.overrides if each.affiliate_id == given.affiliate_id)
    groups = (each for each in term.overrides if each.group is not None and each.group in given.groups)
    return next(own, None) or next(groups, None)


def _choose(rules: Sequence[Rule], order: Order, line: Line | None, given: Given) -> _Choice:
    passed_over: list[PassedOver] = []
    for rule in rules:
        failed = next((each for each in rule.conditions if not _holds(each, order, line, given)), None)
        if failed is None:
            return _Choice(rule, tuple(passed_over))
        found = None if failed.fact in LINE_FACTS else _found(failed.fact, order, None)
        passed_over.append(PassedOver(rule.rank, rule.name, failed, found))
    return _Choice(None, tuple(passed_over))


def _holds(condition: Condition, order: Order, line: Line | None, given: Given) -> bool:
    """A fact that is not there is in no list and has no size; what is no line has no line's facts at all."""
    if condition.fact in LINE_FACTS and line is None:
        return False
    if condition.bound is not None:
        return _is_of_size(condition, order, given)
    fact = _found(condition.fact, order, line)
    if fact is not None and not _is_of_click(condition.fact):
        fact = fact.casefold()
    return (fact in condition.values) == (condition.holds == "in")


def _is_of_size(condition: Condition, order: Order, given: Given) -> bool:
    amount = order.ordered or order.net
    if amount is None or condition.bound is None:
        return False
    currency, minor = exchanged(amount, given.exchange)
    if condition.currency not in (None, currency):
        return False
    bound = Fraction(condition.bound) * Fraction(10) ** exponent_of(currency)
    return minor >= bound if condition.holds == "at_least" else minor < bound


def _found(fact: str, order: Order, line: Line | None) -> str | None:
    if fact in LINE_FACTS:
        return None if line is None else line.category if fact == "category" else line.sku
    if fact == "order_amount":
        amount = order.ordered or order.net
        return None if amount is None else str(amount)
    if fact.startswith("sub"):
        return None if order.facts.subs is None else order.facts.subs.get(fact)
    found: str | None = getattr(order.facts, fact)
    return found


def _is_of_click(fact: str) -> bool:
    return fact == "source" or fact.startswith("sub")


def _base(base: Base | None, numbers: Sequence[int], has_lines: bool) -> Fraction | None:
    if base is None:
        return None
    if not has_lines:
        return base.whole
    return sum((base.lines[number - 1] if number else base.rest for number in numbers), Fraction(0))


def _parts(
    term: RichTerm,
    override: Override | None,
    choice: _Choice,
    numbers: Sequence[int],
    base: Fraction | None,
    units: int,
    given: Given,
) -> list[Part]:
    """One part, or one for each level of the tiers among which the order is spread."""
    return [
        Part(
            winner=winner,
            rate=rate,
            passed_over=choice.passed_over,
            lines=tuple(number for number in numbers if number),
            is_rest=0 in numbers,
            base=None if base is None else base * share,
            units=units * share,
        )
        for winner, rate, share in _winners(term, override, choice.rule, given)
    ]


def _winners(
    term: RichTerm, override: Override | None, rule: Rule | None, given: Given
) -> list[tuple[Winner, Rate, Fraction]]:
    whose: Literal["affiliate", "group"] | None = None
    if override is not None:
        whose = "affiliate" if override.affiliate_id is not None else "group"
    group = None if override is None else override.group
    whole = Fraction(1)
    if rule is not None:
        return [(Winner("rule", rule.rank, rule.name, None, whose, group), rule.pays, whole)]
    if override is not None:
        return [(Winner("override", override=whose, group=group), override.pays, whole)]
    if term.tiers is None:
        return [(Winner("own_rate"), term.own_rate, whole)]
    levels = term.tiers.tiers
    if any(not 0 <= level < len(levels) for level, _ in given.levels) or sum(share for _, share in given.levels) != 1:
        raise PricingImpossible("the tiers have no such level")
    return [(Winner("tier", level=level), levels[level].pays, share) for level, share in given.levels]
