"""A stored term as its readers may see it: an affiliate sees what concerns itself, and not what the network keeps."""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from services.commissions.api.price_answers import EXTRA_DECIMALS, decimal_text, hides_values, own_share
from shared.kernel.money import Money, exponent_of
from shared.runtime.http_app import MoneyAnswer

_NOT_FOR_AFFILIATES: Final = frozenset({"margin_percent", "margin_amount", "margin_mode", "referral"})


def term_view(term: Mapping[str, Any], *, affiliate_id: int | None = None) -> dict[str, Any]:
    """`term` with its amounts as the API shows money.

    affiliate_id: of the reader, if it is one. It sees no margin, no one else's override, no referral, and not the
    values of conditions on coupons, sources and sub IDs; where the network keeps a share of each commission, rates and
    amounts are what is left of them.
    """
    shown = dict(term)
    if affiliate_id is not None:
        shown = _for_affiliate(shown, str(term.get("margin_mode", "of_order")), term.get("margin_percent"))
        overrides = [each for each in shown.pop("overrides", []) if each.get("affiliate_id") == affiliate_id]
        shown |= {"overrides": overrides} if overrides else {}
    money: dict[str, Any] = _with_money(shown)
    return money


def _for_affiliate(value: Any, mode: str, margin_percent: str | None) -> Any:
    if isinstance(value, list):
        return [_for_affiliate(each, mode, margin_percent) for each in value]
    if not isinstance(value, Mapping) or "amount_minor" in value:
        return value
    own = own_share(mode, Decimal(value.get("margin_percent", margin_percent) or 0))
    kept = {name: each for name, each in value.items() if name not in _NOT_FOR_AFFILIATES}
    if "fact" in kept and hides_values(kept["fact"]):
        del kept["values"]
    if own != 1:
        kept |= _left_of_it(kept, own)
    return {name: _for_affiliate(each, mode, margin_percent) for name, each in kept.items()}


def _left_of_it(rate: Mapping[str, Any], own: Fraction) -> dict[str, Any]:
    left: dict[str, Any] = {}
    if "rate_percent" in rate:
        left["rate_percent"] = decimal_text(Fraction(rate["rate_percent"]) * own, EXTRA_DECIMALS)
    if "flat_amount" in rate:
        currency, exponent = rate["flat_amount"]["currency"], exponent_of(rate["flat_amount"]["currency"])
        amount = rate["flat_amount"]["amount_minor"] * own / 10**exponent
        text = decimal_text(amount, exponent + EXTRA_DECIMALS, decimals_min=exponent)
        left["flat_amount"] = {"amount": text, "currency": currency}
    return left


def _with_money(value: Any) -> Any:
    if isinstance(value, list):
        return [_with_money(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    if "amount_minor" in value:
        return MoneyAnswer.of(Money(value["amount_minor"], value["currency"])).model_dump()
    return {name: _with_money(each) for name, each in value.items()}
