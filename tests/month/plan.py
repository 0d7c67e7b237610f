"""How large the network is and what its merchants sell: everything follows from one seed."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

SEED: Final = 20_260_901
MONTH_START: Final = datetime(2026, 9, 1, 12, tzinfo=UTC)
DAYS: Final = 30
CURRENCIES: Final = ("EUR", "EUR", "USD", "GBP")
"""Of merchants by turns: half of them sell in euro."""

DECIMALS: Final[Mapping[str, int]] = {"EUR": 2, "USD": 2, "GBP": 2}


@dataclass(frozen=True, slots=True)
class Scale:
    """links: enrolled pairs of an offer and an affiliate. clicks: each brings conversions / clicks orders."""

    merchants: int
    affiliates: int
    links: int
    clicks: int
    conversions: int

    @classmethod
    def from_environment(cls) -> "Scale":
        """MONTH_CONVERSIONS (200,000 unless said) sets the size; small runs have a smaller network, too."""
        conversions = int(os.environ.get("MONTH_CONVERSIONS", "200000"))
        if conversions >= 50_000:
            return cls(50, 500, 2_000, conversions // 10, conversions)
        return cls(8, 20, 60, max(60, conversions // 10), conversions)


def terms_of(number: int, currency: str) -> list[dict[str, Any]]:
    """The terms of merchant `number`, by turns: percentage, both together, by category, tiers of margin, referred."""
    flat = {"amount": "1.50", "currency": currency}
    kinds: list[dict[str, Any]] = [
        {"kind": "percentage", "rate_percent": "8.25", "margin_percent": "1.75"},
        {
            "kind": "combined",
            "rate_percent": "4.5",
            "margin_percent": "1",
            "amount": flat,
            "margin": {"amount": "0.25", "currency": currency},
        },
        {
            "kind": "percentage",
            "rate_percent": "5",
            "margin_percent": "20",
            "margin_mode": "of_commission",
            "excludes": ["tax", "shipping"],
            "rules": [
                {
                    "rank": 1,
                    "name": "shoes",
                    "conditions": [{"fact": "category", "holds": "in", "values": ["shoes"]}],
                    "pays": {"rate_percent": "12.5"},
                },
                {
                    "rank": 2,
                    "name": "new customers",
                    "conditions": [{"fact": "customer_status", "holds": "in", "values": ["new"]}],
                    "pays": {"rate_percent": "9"},
                },
            ],
        },
        {"kind": "percentage", "rate_percent": "6.666667", "margin_percent": "15", "margin_mode": "on_top"},
    ]
    return [{"event": "sale", **kinds[number % len(kinds)]}]


def extras_of(number: int, currency: str) -> dict[str, Any]:
    """A budget for every tenth offer, and commissions in euro for every tenth that sells in dollars."""
    extras: dict[str, Any] = {}
    if number % 4 == 1:
        extras["pays_in"] = currency  # percentages and amounts together need one currency
    if number % 10 == 6 and currency == "USD":
        extras["pays_in"] = "EUR"
    if number % 10 == 3:
        budget = {"amount": "2000.00", "currency": currency}
        extras["pays_in"] = currency
        extras["caps"] = [{"name": "september", "scope": "offer", "period": "month", "amount": budget}]
    return extras
