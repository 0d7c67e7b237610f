"""What makes what a term pays acceptable, wherever it says so: its own rate, its rules', its tiers', its overrides'."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from services.gateway.domain.money_fields import read_money, read_rate
from services.gateway.domain.term_drafts import RateDraft
from services.gateway.domain.terms import MarginMode, Rate, Referral
from shared.kernel.errors import InvalidValue

CLICK_EVENT: Final = "click"
"""Valid clicks of a settled bundle: there is no order that a percentage could be of."""

_ALL: Final = Decimal(100)
_NONE: Final = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RateReader:
    """Reads rates of one term. term_margin_percent: where a rate names none. currency: of all amounts, if known."""

    event: str
    margin_mode: MarginMode
    currency: str | None
    term_margin_percent: Decimal
    referral: Referral | None
    may_exceed_order: bool

    def read(self, draft: RateDraft, path: str) -> Rate:
        """The rate at `path`. Raises InvalidValue naming what is wrong with it."""
        if draft.rate_percent is None and draft.amount is None:
            raise InvalidValue(path, "rate_empty", "pays something: rate_percent, amount, or both")
        if draft.rate_percent is not None and self.event == CLICK_EVENT:
            raise InvalidValue(
                f"{path}.rate_percent", "not_of_clicks", "a click has no order that it could be a share of"
            )
        if draft.margin is not None and self.margin_mode == "of_commission":
            raise InvalidValue(
                f"{path}.margin", "not_of_this_margin_mode", "is what the network adds, not what it keeps"
            )
        rate = Rate(
            rate_percent=self._percent(draft.rate_percent, f"{path}.rate_percent"),
            flat_amount=None
            if draft.amount is None
            else read_money(draft.amount, f"{path}.amount", currency=self.currency),
            margin_percent=self._percent(draft.margin_percent, f"{path}.margin_percent"),
            margin_amount=None
            if draft.margin is None
            else read_money(draft.margin, f"{path}.margin", currency=self.currency),
        )
        self.check(rate, path)
        return rate

    def check(self, rate: Rate, path: str) -> None:
        """Raises InvalidValue where the merchant would pay more than the order without having said that it may.

        Counted: the affiliate's part, the network's, and a referral's, each as a percentage of the order.
        """
        if not self.may_exceed_order:
            for name, percent in (("rate_percent", rate.rate_percent), ("margin_percent", rate.margin_percent)):
                if percent is not None and percent > _ALL:
                    message = "is over 100, which needs may_exceed_order"
                    raise InvalidValue(f"{path}.{name}", "rates_over_100", message)
        margin = self.term_margin_percent if rate.margin_percent is None else rate.margin_percent
        if self.margin_mode == "of_commission" and margin > _ALL:
            raise InvalidValue(f"{path}.margin_percent", "margin_over_100", "is a part of the commission: at most 100")
        if self.may_exceed_order or rate.rate_percent is None:
            return
        own = rate.rate_percent
        network = {"of_order": margin, "of_commission": _NONE, "on_top": own * margin / _ALL}[self.margin_mode]
        referred = _NONE
        if self.referral is not None:
            referred = self.referral.rate_percent * (_ALL if self.referral.of == "sale" else own) / _ALL
        named = "rate_percent" if rate.margin_percent is None else "margin_percent"
        sums = ((named, own + network), ("rate_percent", own + network + referred))
        for field, percent in sums:
            if percent > _ALL:
                message = f"come to {percent.normalize():f} % of the order, and over 100 needs may_exceed_order"
                raise InvalidValue(f"{path}.{field}", "rates_over_100", f"rate, margin and referral {message}")

    @staticmethod
    def _percent(text: str | None, path: str) -> Decimal | None:
        return None if text is None else read_rate(text, path)
