"""What makes a term acceptable: its kind and rate, its tiers, overrides and referral, all in one currency."""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Final

from services.gateway.domain.condition_rules import read_rules
from services.gateway.domain.money_fields import check_count, check_one_of, check_range, read_money, read_rate
from services.gateway.domain.rate_rules import CLICK_EVENT, RateReader
from services.gateway.domain.term_drafts import (
    AmountText,
    OverrideDraft,
    RateDraft,
    ReferralDraft,
    TermDraft,
    TiersDraft,
)
from services.gateway.domain.terms import Override, Rate, Referral, Term, TermKind, Tier, Tiers
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import ID_MAX
from shared.kernel.money import parse_rate_percent, zero

TIERS_MAX: Final = 20
OVERRIDES_MAX: Final = 500
RECURRING_MAX_MONTHS: Final = 120
COUNT_MAX: Final = 1_000_000_000
EXCLUDES: Final = ("tax", "shipping", "discount")

GROUP_NAME: Final = re.compile(r"[a-z0-9_-]{1,32}", re.ASCII)
GROUP_NAME_MESSAGE: Final = "must be 1 to 32 of a-z 0-9 _ -"

_KINDS: Final[tuple[TermKind, ...]] = ("percentage", "flat", "combined")


def read_term(draft: TermDraft, path: str, *, pays_in: str | None) -> Term:
    """The term at `path`. pays_in: the version's currency, if it has one. Raises InvalidValue naming the fault."""
    if draft.kind not in _KINDS:
        raise InvalidValue(f"{path}.kind", "kind_unknown", "must be percentage, flat or combined")
    if draft.event == CLICK_EVENT:
        _refuse_of_clicks(draft, path)
    _check_fields_of_kind(draft, path)
    _check_excludes(draft, path)
    currency = _currency(draft, pays_in)
    referral = None if draft.referral is None else _read_referral(draft.referral, f"{path}.referral")
    margin_percent = None if draft.margin_percent is None else read_rate(draft.margin_percent, f"{path}.margin_percent")
    reader = RateReader(
        event=draft.event,
        margin_mode=draft.margin_mode,
        currency=currency,
        term_margin_percent=margin_percent or Decimal(0),
        referral=referral,
        may_exceed_order=draft.may_exceed_order,
    )
    own = _own_rate(draft, path, reader)
    term = Term(
        event=draft.event,
        kind=draft.kind,
        rate_percent=own.rate_percent,
        margin_percent=own.margin_percent,
        flat_amount=own.flat_amount,
        margin_amount=own.margin_amount,
        margin_mode=draft.margin_mode,
        excludes=tuple(draft.excludes),
        rules=read_rules(draft.rules, f"{path}.rules", currency=currency, read_rate=reader.read),
        tiers=None if draft.tiers is None else _read_tiers(draft.tiers, f"{path}.tiers", reader),
        overrides=_read_overrides(draft.overrides, f"{path}.overrides", reader),
        referral=referral,
        recurring_months=_recurring_months(draft, path),
        may_exceed_order=draft.may_exceed_order,
    )
    if pays_in is None and currency is not None and _pays_shares(draft):
        message = f"is required where {path} pays percentages and amounts: orders may be in another currency"
        raise InvalidValue("pays_in", "pays_in_missing", message)
    return term


def term_currency(term: Term, pays_in: str | None) -> str | None:
    """The currency of what a term pays; None for percentages of orders in whatever currency they have."""
    if pays_in is not None:
        return pays_in
    return None if term.flat_amount is None else term.flat_amount.currency


def _refuse_of_clicks(draft: TermDraft, path: str) -> None:
    if draft.kind != "flat":
        raise InvalidValue(f"{path}.kind", "not_of_clicks", "must be flat: a click has no order")
    if draft.recurring_months is not None:
        raise InvalidValue(f"{path}.recurring_months", "not_of_clicks", "is for customers' orders")


def _check_fields_of_kind(draft: TermDraft, path: str) -> None:
    in_percent, in_money = draft.kind != "flat", draft.kind != "percentage"
    mode = draft.margin_mode
    fields = {
        # name: (value, belongs to such a term, must be there)
        "rate_percent": (draft.rate_percent, in_percent, in_percent),
        "amount": (draft.amount, in_money, in_money),
        "margin_percent": (draft.margin_percent, in_percent or mode != "of_order", mode == "of_commission"),
        "margin": (draft.margin, in_money and mode != "of_commission", False),
    }
    for name, (value, belongs, _) in fields.items():
        if value is not None and not belongs:
            message = f"does not belong to a {draft.kind} term with margin_mode {mode}"
            raise InvalidValue(f"{path}.{name}", "not_of_this_kind", message)
    for name, (value, _, required) in fields.items():
        if value is None and required:
            raise InvalidValue(f"{path}.{name}", "missing", "is required")


def _check_excludes(draft: TermDraft, path: str) -> None:
    for index, part in enumerate(draft.excludes):
        check_one_of(f"{path}.excludes.{index}", part, EXCLUDES)
        if part in draft.excludes[:index]:
            raise InvalidValue(f"{path}.excludes.{index}", "part_repeated", "appears twice")


def _own_rate(draft: TermDraft, path: str, reader: RateReader) -> Rate:
    """The term's own rate, with margins of zero where its kind has them and none is named."""
    own = reader.read(_own(draft), path)
    margin_percent, margin_amount = own.margin_percent, own.margin_amount
    if margin_percent is None and draft.kind != "flat":
        margin_percent = Decimal(0)
    if margin_amount is None and own.flat_amount is not None and draft.margin_mode != "of_commission":
        margin_amount = zero(own.flat_amount.currency)
    return Rate(
        rate_percent=own.rate_percent,
        flat_amount=own.flat_amount,
        margin_percent=margin_percent,
        margin_amount=margin_amount,
    )


def _recurring_months(draft: TermDraft, path: str) -> int | None:
    if draft.recurring_months is not None:
        check_range(f"{path}.recurring_months", draft.recurring_months, 0, RECURRING_MAX_MONTHS)
    return draft.recurring_months


def _read_referral(draft: ReferralDraft, path: str) -> Referral:
    return Referral(rate_percent=parse_rate_percent(draft.rate_percent, field=f"{path}.rate_percent"), of=draft.of)


def _read_tiers(draft: TiersDraft, path: str, reader: RateReader) -> Tiers:
    check_count(f"{path}.tiers", len(draft.tiers), 1, TIERS_MAX, of="tiers")
    named, other = ("from_count", "from_amount") if draft.measure == "conversions" else ("from_amount", "from_count")
    currency = reader.currency or next((each.from_amount[1] for each in draft.tiers if each.from_amount), None)
    tiers, last = list[Tier](), -1
    for index, each in enumerate(draft.tiers):
        here = f"{path}.tiers.{index}"
        if getattr(each, other) is not None:
            raise InvalidValue(f"{here}.{other}", "not_of_this_measure", f"is not how {draft.measure} are measured")
        if getattr(each, named) is None:
            raise InvalidValue(f"{here}.{named}", "missing", f"is required where {draft.measure} are measured")
        from_amount = (
            None if each.from_amount is None else read_money(each.from_amount, f"{here}.from_amount", currency=currency)
        )
        if each.from_count is not None:
            check_range(f"{here}.from_count", each.from_count, 0, COUNT_MAX)
        begins = each.from_count if from_amount is None else from_amount.amount_minor
        assert begins is not None
        if index == 0 and begins != 0:
            raise InvalidValue(f"{here}.{named}", "tiers_not_from_zero", "must be zero: the first tier begins there")
        if begins <= last:
            raise InvalidValue(f"{here}.{named}", "tiers_not_ascending", "must be more than the tier before begins at")
        last = begins
        pays = reader.read(each.pays, f"{here}.pays")
        tiers.append(Tier(pays=pays, from_count=each.from_count, from_amount=from_amount))
    return Tiers(measure=draft.measure, mode=draft.mode, tiers=tuple(tiers))


def _read_overrides(drafts: Sequence[OverrideDraft], path: str, reader: RateReader) -> tuple[Override, ...]:
    check_count(path, len(drafts), 0, OVERRIDES_MAX, of="overrides")
    seen = set[tuple[int | None, str | None]]()
    overrides = list[Override]()
    for index, draft in enumerate(drafts):
        here = f"{path}.{index}"
        if (draft.affiliate_id is None) == (draft.group is None):
            raise InvalidValue(here, "override_names_one", "names either affiliate_id or group, and not both")
        named = "affiliate_id" if draft.group is None else "group"
        if draft.affiliate_id is not None:
            check_range(f"{here}.affiliate_id", draft.affiliate_id, 1, ID_MAX)
        if draft.group is not None and not GROUP_NAME.fullmatch(draft.group):
            raise InvalidValue(f"{here}.group", "group_malformed", GROUP_NAME_MESSAGE)
        if (draft.affiliate_id, draft.group) in seen:
            raise InvalidValue(f"{here}.{named}", "override_repeated", "has an override in this term already")
        seen.add((draft.affiliate_id, draft.group))
        rules = read_rules(draft.rules, f"{here}.rules", currency=reader.currency, read_rate=reader.read)
        pays = reader.read(draft.pays, f"{here}.pays")
        overrides.append(Override(pays=pays, affiliate_id=draft.affiliate_id, group=draft.group, rules=rules))
    return tuple(overrides)


def _currency(draft: TermDraft, pays_in: str | None) -> str | None:
    """The one currency of the term: the version's, else that of the first amount in it, else none."""
    return pays_in or next((amount[1] for amount in _amounts(draft) if amount is not None), None)


def _amounts(draft: TermDraft) -> Iterator[AmountText | None]:
    yield from (draft.amount, draft.margin)
    for rate in _rates(draft):
        yield from (rate.amount, rate.margin)


def _pays_shares(draft: TermDraft) -> bool:
    """True where anything in the term is a percentage of the order."""
    of_order = draft.margin_mode == "of_order"
    return any(
        each.rate_percent is not None or (of_order and each.margin_percent is not None)
        for each in [_own(draft), *_rates(draft)]
    )


def _own(draft: TermDraft) -> RateDraft:
    return RateDraft(
        rate_percent=draft.rate_percent,
        amount=draft.amount,
        margin_percent=draft.margin_percent,
        margin=draft.margin,
    )


def _rates(draft: TermDraft) -> Iterator[RateDraft]:
    tiers = () if draft.tiers is None else draft.tiers.tiers
    yield from (rule.pays for rule in draft.rules)
    yield from (tier.pays for tier in tiers)
    for override in draft.overrides:
        yield override.pays
        yield from (rule.pays for rule in override.rules)
