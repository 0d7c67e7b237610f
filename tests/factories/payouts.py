"""Affiliates that want to be paid: told of by the catalogue, credited, and with their settings."""

from typing import Any
from uuid import uuid4

from services.commissions.domain.payout_settings import Frequency, Method, PayoutSettings
from shared.contracts.catalogue import AffiliateChangedV1, affiliate_key
from shared.contracts.events import encode_event
from shared.contracts.topics import CATALOGUE
from shared.kernel.ids import new_id
from shared.runtime.consumer import Received
from shared.runtime.database import Database
from shared.runtime.projection import apply_projection
from tests.factories.commissions import START

IBAN = "DE89370400440532013000"
OTHER_IBAN = "FR1420041010050500013M02606"


async def tell_of_affiliate(worker: Database, affiliate_id: int, *, status: str = "active") -> None:
    """The catalogue tells of an affiliate."""
    event = AffiliateChangedV1(
        event_id=uuid4(),
        occurred_at=START,
        affiliate_id=affiliate_id,
        name="Reviews",
        status=status,  # type: ignore[arg-type]
    )
    key = affiliate_key(affiliate_id).encode()
    async with worker.transaction() as session:
        await apply_projection(session, [Received(CATALOGUE, 0, 0, key, encode_event(event))])


def settings_body(**changes: Any) -> dict[str, Any]:
    """A bank account in Germany, monthly, from 25.00 EUR on."""
    body: dict[str, Any] = {
        "threshold": {"amount": "25.00", "currency": "EUR"},
        "frequency": "monthly",
        "method": "bank",
        "country": "DE",
        "details": {"account_holder": "Reviews GmbH", "iban": IBAN},
    }
    return {**body, **changes}


def settings_version(*, affiliate_id: int, **changes: Any) -> PayoutSettings:
    """One version, as it is kept."""
    values: dict[str, Any] = {
        "settings_id": new_id(),
        "affiliate_id": affiliate_id,
        "version": 1,
        "currency": "EUR",
        "threshold_minor": 2_500,
        "frequency": Frequency.MONTHLY,
        "weekday": None,
        "net_days": 0,
        "method": Method.BANK,
        "country": "DE",
        "masked": {"account_holder": "R••••", "iban": "DE89 •••• 3000"},
        "details_changed_at": START,
        "held_until": None,
        "changed_at": START,
    }
    return PayoutSettings(**{**values, **changes})
