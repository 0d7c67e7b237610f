"""The price of an order by another road: from the events themselves, in whole numbers over one denominator."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from shared.contracts.catalogue import ConditionV1, RateV1, RuleV1, TermV1
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import ConversionChangedV1, LineItemV1

MILLION = 10**6
PER_CENT = 100 * MILLION
EXPONENTS = {"EUR": 2, "JPY": 0, "KWD": 3}


@dataclass
class Sums:
    """Numerators over one denominator: of what shares, and what fixed amounts, come to, for both parties."""

    shares: list[int]
    flats: list[int]


def oracle(term: TermV1, event: ConversionChangedV1, decisions: DecisionsV1) -> tuple[int, int]:
    """(commission, margin) in minor units."""
    ordered, net = _amounts(event)
    facts = {"coupon": event.coupon, "country": event.country, "customer_status": event.customer_status}
    facts |= {"source": event.source, **{f"sub{n}": event.subs.get(f"sub{n}") for n in range(1, 11)}}
    rules, fallback = _asked(term, event, decisions)
    lines = list(event.items) if any(map(_is_of_lines, rules)) else []
    excluded = sum(getattr(event, name).amount_minor for name in term.excludes if getattr(event, name) is not None)
    base_at_first = max(ordered - excluded, 0)
    line_sum = sum(line.amount.amount_minor for line in event.items if line.amount is not None)
    lines_over, weight = (1, 1) if line_sum <= base_at_first else (line_sum, base_at_first)
    # Every base is a numerator over lines_over * ordered.
    over = lines_over * (ordered or 1)
    bases = [0 if line.amount is None else line.amount.amount_minor * weight * net for line in lines]
    rest = base_at_first * lines_over * net - sum(bases)
    asking: list[tuple[LineItemV1 | None, int]] = [*zip(lines, bases, strict=True)]
    if not lines or line_sum < base_at_first:
        asking.append((None, rest))
    won: dict[int, list[Any]] = {}
    for line, numerator in asking:
        rule = _first(rules, facts, line, event)
        rate = fallback if rule is None else rule.pays
        entry = won.setdefault(0 if rule is None else rule.rank, [rate, 0, 0, rule])
        entry[1] += numerator
        entry[2] = entry[2] + line.quantity if line is not None and rule is not None and _is_of_lines(rule) else 1
    return _total(term, event, list(won.values()), over, fallback)


def _amounts(event: ConversionChangedV1) -> tuple[int, int]:
    assert event.order_amount is not None
    assert event.net_amount is not None
    return event.order_amount.amount_minor, event.net_amount.amount_minor


def _asked(term: TermV1, event: ConversionChangedV1, decisions: DecisionsV1) -> tuple[list[RuleV1], RateV1]:
    for override in term.overrides:
        if override.affiliate_id == event.affiliate_id:
            return sorted(override.rules, key=lambda rule: rule.rank), override.pays
    for override in term.overrides:
        if override.group in decisions.groups:
            return sorted(override.rules, key=lambda rule: rule.rank), override.pays
    own = RateV1(
        rate_percent=term.rate_percent,
        flat_amount=term.flat_amount,
        margin_percent=term.margin_percent,
        margin_amount=term.margin_amount,
    )
    fallback = own if term.tiers is None else term.tiers.tiers[decisions.tier or 0].pays
    return sorted(term.rules, key=lambda rule: rule.rank), fallback


def _is_of_lines(rule: RuleV1) -> bool:
    return not {"sku", "category"}.isdisjoint(condition.fact for condition in rule.conditions)


def _first(
    rules: list[RuleV1], facts: dict[str, Any], line: LineItemV1 | None, event: ConversionChangedV1
) -> RuleV1 | None:
    known = dict(facts) if line is None else {**facts, "sku": line.sku, "category": line.category}
    for rule in rules:
        if all(_is_met(condition, known, event) for condition in rule.conditions):
            return rule
    return None


def _is_met(condition: ConditionV1, known: dict[str, Any], event: ConversionChangedV1) -> bool:
    if condition.fact == "order_amount":
        money = event.order_amount
        assert money is not None
        if condition.currency is not None and condition.currency != money.currency:
            return False
        bound = int(condition.values[0] + "0" * EXPONENTS[money.currency])
        return (money.amount_minor >= bound) if condition.holds == "at_least" else (money.amount_minor < bound)
    if condition.fact not in known:
        return False
    value: str | None = known[condition.fact]
    values = condition.values
    if condition.fact not in ("source", "sub1") and value is not None:
        value, values = value.lower(), [each.lower() for each in values]
    return value in values if condition.holds == "in" else value not in values


def _millionths(text: str | None) -> int:
    return 0 if text is None else int(Decimal(text) * MILLION)


def _total(
    term: TermV1, event: ConversionChangedV1, won: list[list[Any]], over: int, fallback: RateV1
) -> tuple[int, int]:
    """All numerators are over `over * PER_CENT * PER_CENT`."""
    ordered, net = _amounts(event)
    denominator = over * PER_CENT * PER_CENT
    sums = Sums([0, 0], [0, 0])
    is_inherited = False
    for rate, base, units, _ in won:
        margin = _millionths(rate.margin_percent if rate.margin_percent is not None else term.margin_percent)
        worth = base * _millionths(rate.rate_percent)
        of_order = base * margin * PER_CENT
        fixed = 0 if rate.flat_amount is None else rate.flat_amount.amount_minor * units * event.quantity * over
        _divide(sums.shares, term.margin_mode, worth, margin, of_order)
        _divide(sums.flats, term.margin_mode, fixed * PER_CENT, margin, 0)
        if rate.margin_amount is not None:
            sums.flats[1] += rate.margin_amount.amount_minor * units * event.quantity * denominator
        is_inherited = is_inherited or rate.margin_amount is None
    has_own = any(rate is fallback for rate, *_ in won) and term.tiers is None and not _is_overridden(term, fallback)
    if is_inherited and term.margin_amount is not None and not has_own:
        sums.flats[1] += term.margin_amount.amount_minor * event.quantity * denominator
    if _is_beyond(term, event):
        return 0, 0
    if ordered > 0 and net == 0:
        sums.flats = [0, 0]
    commission, margin = (share + flat for share, flat in zip(sums.shares, sums.flats, strict=True))
    if term.margin_mode == "of_commission":
        whole = _half_up(commission + margin, denominator)
        paid = _split(whole, commission, margin)
    else:
        paid = _half_up(commission, denominator), _half_up(margin, denominator)
    if not term.may_exceed_order and any(sums.shares) and any(sums.flats) and sum(paid) > net:
        return _split(net, *paid)
    return paid


def _is_overridden(term: TermV1, fallback: RateV1) -> bool:
    return any(override.pays is fallback for override in term.overrides)


def _divide(sums: list[int], mode: str, worth: int, margin: int, of_order: int) -> None:
    sums[0] += worth * (PER_CENT - margin if mode == "of_commission" else PER_CENT)
    sums[1] += of_order if mode == "of_order" else worth * margin


def _is_beyond(term: TermV1, event: ConversionChangedV1) -> bool:
    if not term.recurring_months or event.customer_first_at is None:
        return False
    days = (event.first_received_at - event.customer_first_at).days
    return days >= (31 if term.recurring_months == 1 else 365)


def _half_up(numerator: int, denominator: int) -> int:
    whole, left = divmod(numerator, denominator)
    return whole + (2 * left >= denominator)


def _split(whole: int, first: int, second: int) -> tuple[int, int]:
    """In proportion; the unit that is left over goes to the larger remainder, to the first where they are equal."""
    if not first + second:
        return 0, 0
    parts = [whole * first // (first + second), whole * second // (first + second)]
    if sum(parts) < whole:
        parts[int(whole * second % (first + second) > whole * first % (first + second))] += 1
    return parts[0], parts[1]
