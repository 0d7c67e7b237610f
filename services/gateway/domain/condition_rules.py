"""What makes the rules of a term acceptable: their ranks, and the conditions under which they hold."""

import re
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Final

from services.gateway.domain.money_fields import check_count, check_range, read_money
from services.gateway.domain.term_drafts import ConditionDraft, RateDraft, RuleDraft
from services.gateway.domain.terms import Condition, Rate, Rule
from shared.kernel.errors import InvalidValue

RULES_MAX: Final = 50
CONDITIONS_MAX: Final = 10
VALUES_MAX: Final = 200
VALUE_CHARACTERS_MAX: Final = 255
RULE_NAME_CHARACTERS_MAX: Final = 60
RANK_MAX: Final = 1_000

CUSTOMER_STATUSES: Final = ("new", "returning")
TEXT_FACTS: Final = (
    "coupon",
    "customer_status",
    "country",
    "source",
    "category",
    "sku",
    *(f"sub{number}" for number in range(1, 11)),
)
AMOUNT_FACT: Final = "order_amount"
_SETS: Final = ("in", "not_in")
_BOUNDS: Final = ("at_least", "below")
_COUNTRY = re.compile(r"[A-Z]{2}", re.ASCII)

ReadRate = Callable[[RateDraft, str], Rate]
"""Reads what a rule pays, at its path."""


def read_rules(
    drafts: Sequence[RuleDraft], path: str, *, currency: str | None, read_rate: ReadRate
) -> tuple[Rule, ...]:
    """The rules at `path`, by rank. currency: of the term, None where it has none.

    Two rules may hold for one order, and then only their ranks decide: each needs one of its own. Raises InvalidValue.
    """
    check_count(path, len(drafts), 0, RULES_MAX, of="rules")
    ranks, names = dict[int, int](), set[str]()
    rules = list[Rule]()
    for index, draft in enumerate(drafts):
        here = f"{path}.{index}"
        rank = _rank(draft, here, is_alone=len(drafts) == 1)
        if rank in ranks:
            raise InvalidValue(
                f"{here}.rank", "rank_repeated", f"is the rank of rule {ranks[rank]} of this list already"
            )
        ranks[rank] = index
        check_count(f"{here}.name", len(draft.name), 1, RULE_NAME_CHARACTERS_MAX, of="characters")
        if draft.name in names:
            raise InvalidValue(f"{here}.name", "name_repeated", "is another rule's name; trails tell rules apart by it")
        names.add(draft.name)
        conditions = _read_conditions(draft.conditions, f"{here}.conditions", currency)
        rules.append(
            Rule(rank=rank, name=draft.name, conditions=conditions, pays=read_rate(draft.pays, f"{here}.pays"))
        )
    return tuple(sorted(rules, key=lambda rule: rule.rank))


def _rank(draft: RuleDraft, path: str, *, is_alone: bool) -> int:
    if draft.rank is None:
        if not is_alone:
            message = "is required where there are several rules: they may overlap, and only rank decides between them"
            raise InvalidValue(f"{path}.rank", "rank_missing", message)
        return 1
    check_range(f"{path}.rank", draft.rank, 1, RANK_MAX)
    return draft.rank


def _read_conditions(drafts: Sequence[ConditionDraft], path: str, currency: str | None) -> tuple[Condition, ...]:
    check_count(path, len(drafts), 1, CONDITIONS_MAX, of="conditions")
    seen = set[tuple[str, str]]()
    conditions = list[Condition]()
    for index, draft in enumerate(drafts):
        here = f"{path}.{index}"
        if (draft.fact, draft.holds) in seen:
            raise InvalidValue(
                here, "condition_repeated", "asks the same of the same fact as one before: join their values"
            )
        seen.add((draft.fact, draft.holds))
        if draft.fact == AMOUNT_FACT:
            conditions.append(_amount_condition(draft, here, currency))
        elif draft.fact in TEXT_FACTS:
            conditions.append(_text_condition(draft, here))
        else:
            known = ", ".join(sorted((*TEXT_FACTS, AMOUNT_FACT)))
            raise InvalidValue(f"{here}.fact", "fact_unknown", f"must be one of {known}")
    _refuse_empty_bounds(conditions, path)
    return tuple(conditions)


def _text_condition(draft: ConditionDraft, path: str) -> Condition:
    if draft.holds not in _SETS:
        raise InvalidValue(f"{path}.holds", "holds_unknown_for_fact", f"must be in or not_in for {draft.fact}")
    if draft.currency is not None:
        raise InvalidValue(f"{path}.currency", "not_of_this_fact", f"is for {AMOUNT_FACT}")
    check_count(f"{path}.values", len(draft.values), 1, VALUES_MAX, of="values")
    for index, value in enumerate(draft.values):
        here = f"{path}.values.{index}"
        if not value.strip() or len(value) > VALUE_CHARACTERS_MAX:
            raise InvalidValue(here, "value_length", f"has 1 to {VALUE_CHARACTERS_MAX} characters and is not blank")
        if value in draft.values[:index]:
            raise InvalidValue(here, "value_repeated", "appears twice")
        if draft.fact == "country" and not _COUNTRY.fullmatch(value):
            raise InvalidValue(here, "country_malformed", "must be two capital letters of ISO 3166, such as DE")
        if draft.fact == "customer_status" and value not in CUSTOMER_STATUSES:
            raise InvalidValue(here, "customer_status_unknown", f"must be one of {', '.join(CUSTOMER_STATUSES)}")
    return Condition(fact=draft.fact, holds=draft.holds, values=tuple(draft.values))


def _amount_condition(draft: ConditionDraft, path: str, currency: str | None) -> Condition:
    if draft.holds not in _BOUNDS:
        raise InvalidValue(f"{path}.holds", "holds_unknown_for_fact", "must be at_least or below for order_amount")
    check_count(f"{path}.values", len(draft.values), 1, 1, of="value")
    named = draft.currency or currency
    if named is None:
        message = "is required for an order's amount where the term has no currency itself"
        raise InvalidValue(f"{path}.currency", "currency_missing", message)
    try:
        amount = read_money((draft.values[0], named), path, currency=currency)
    except InvalidValue as fault:
        field = "currency" if fault.field.endswith("currency") else "values.0"
        raise InvalidValue(f"{path}.{field}", fault.code, fault.message) from None
    return Condition(fact=draft.fact, holds=draft.holds, values=(amount.decimal_text(),), currency=amount.currency)


def _refuse_empty_bounds(conditions: Sequence[Condition], path: str) -> None:
    bounds = {c.holds: Decimal(c.values[0]) for c in conditions if c.fact == AMOUNT_FACT}
    if "below" in bounds and bounds.get("at_least", Decimal(0)) >= bounds["below"]:
        raise InvalidValue(path, "conditions_empty", "hold for no order: at_least must be less than below")
