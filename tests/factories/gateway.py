"""Bodies and answers of the gateway's own routes, showing only what a test cares about."""

from typing import Any


def offer_body(merchant_id: int = 1, **changes: Any) -> dict[str, Any]:
    """A good body for POST /v1/offers."""
    body: dict[str, Any] = {
        "merchant_id": merchant_id,
        "name": "Shoes",
        "landing_template": "https://shop.example/p?cid={click_id}&s={sub1}",
        "allowed_hosts": ["shop.example", "www.shop.example"],
        "window": {"min_seconds": 0, "max_seconds": 2_592_000},
        "late_hours": 48,
        "validation_days": 14,
        "hold_days": 30,
        "terms": [percentage_term()],
    }
    return {**body, **changes}


def version_body(**changes: Any) -> dict[str, Any]:
    """A good body for POST /v1/offers/{id}/versions."""
    body = offer_body(**changes)
    return {name: value for name, value in body.items() if name not in ("merchant_id", "name") or name in changes}


def percentage_term(event: str = "sale", *, rate: str = "10", margin: str = "2") -> dict[str, Any]:
    """A percentage term."""
    return {"event": event, "kind": "percentage", "rate_percent": rate, "margin_percent": margin}


def flat_term(
    event: str = "lead", *, amount: str = "5.00", margin: str = "0.50", currency: str = "EUR"
) -> dict[str, Any]:
    """A flat term."""
    return {
        "event": event,
        "kind": "flat",
        "amount": {"amount": amount, "currency": currency},
        "margin": {"amount": margin, "currency": currency},
    }
