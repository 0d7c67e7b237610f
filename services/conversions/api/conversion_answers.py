"""Conversions and their trail as the API shows them; what is the merchant's business an affiliate does not see."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.conversions.domain.conversion import Conversion
from services.conversions.domain.facts import NO_FACTS, Item
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.transitions import Status
from services.conversions.usecases.record_changes import spelt_click_id
from shared.kernel.money import Money
from shared.runtime.principal import Principal
from shared.runtime.wire_model import MoneyAnswer


class OutcomeAnswer(BaseModel):
    """A numbered outcome; the README lists them."""

    code: int
    name: str

    @classmethod
    def of(cls, code: int) -> "OutcomeAnswer":
        """The outcome with this number."""
        return cls(code=code, name=Outcome(code).label)


class ItemAnswer(BaseModel):
    """One line of an order. amount: of the whole line, all its quantity; null where it was not said."""

    sku: str | None
    category: str | None
    quantity: int
    amount: MoneyAnswer | None

    @classmethod
    def of(cls, item: Item) -> "ItemAnswer":
        """A line as terms price it."""
        return cls(sku=item.sku, category=item.category, quantity=item.quantity, amount=_money(item.amount))


class ConversionAnswer(BaseModel):
    """One conversion. received_at: of the first receipt. What the merchant said of its order is null for affiliates.

    net_amount: what is left after refunds. approve_at: when it will be approved unless something happens before.
    country, tax, shipping, discount, items: what terms price by; items is empty where the list could not be read as
    lines of this order. customer_first_at: since when the customer is known to a recurring offer. quantity: valid
    clicks of the hour that began at clicked_at, where the event is `click`; 1 for everything else.
    """

    id: str
    version: int
    status: Status
    outcome: OutcomeAnswer
    event: str
    merchant_id: int
    order_id: str | None
    offer_id: int | None
    offer_version: int | None
    affiliate_id: int | None
    click_id: str | None
    clicked_at: datetime | None
    attributed_by: str | None
    order_amount: MoneyAnswer | None
    net_amount: MoneyAnswer | None
    received_at: datetime
    ordered_at: datetime | None
    approve_at: datetime | None
    changed_at: datetime
    reason_code: str | None
    coupon: str | None
    customer_id: str | None
    customer_status: str | None
    customer_first_at: datetime | None
    country: str | None
    tax: MoneyAnswer | None
    shipping: MoneyAnswer | None
    discount: MoneyAnswer | None
    items: list[ItemAnswer]
    quantity: int
    subs: dict[str, str]
    aff_click_id: str | None
    source: str | None
    creative: str | None


def conversion_answer(conversion: Conversion, caller: Principal) -> ConversionAnswer:
    """`conversion` as `caller` may see it."""
    details, is_affiliate = conversion.details, caller.role == "affiliate"
    facts = NO_FACTS if is_affiliate or conversion.facts is None else conversion.facts
    return ConversionAnswer(
        id=str(conversion.id),
        version=conversion.version,
        status=conversion.status,
        outcome=OutcomeAnswer.of(int(conversion.outcome)),
        event=conversion.event,
        merchant_id=conversion.merchant_id,
        order_id=None if is_affiliate else conversion.order_id,
        offer_id=conversion.offer_id,
        offer_version=conversion.offer_version,
        affiliate_id=conversion.affiliate_id,
        click_id=spelt_click_id(conversion),
        clicked_at=conversion.clicked_at,
        attributed_by=conversion.attributed_by,
        order_amount=_money(conversion.order_amount),
        net_amount=_money(conversion.net_amount),
        received_at=conversion.first_received_at,
        ordered_at=conversion.ordered_at,
        approve_at=conversion.approve_at,
        changed_at=conversion.changed_at,
        reason_code=conversion.reason_code,
        coupon=None if is_affiliate else conversion.coupon,
        customer_id=None if is_affiliate else conversion.customer_id,
        customer_status=None if is_affiliate else conversion.customer_status,
        customer_first_at=None if is_affiliate else conversion.customer_first_at,
        country=facts.country,
        tax=_money(facts.tax),
        shipping=_money(facts.shipping),
        discount=_money(facts.discount),
        items=[ItemAnswer.of(item) for item in facts.items],
        quantity=1 if conversion.facts is None else conversion.facts.quantity,
        subs={} if details is None else dict(details.subs),
        aff_click_id=None if details is None else details.aff_click_id,
        source=None if details is None else details.source,
        creative=None if details is None else details.creative,
    )


class StepAnswer(BaseModel):
    """One attribution rule's word: won, passed, lost or not_applicable, and why."""

    rule: str
    verdict: str
    reason: str


class ConversionVersionAnswer(BaseModel):
    """One line of the trail. actor: merchant_postback, merchant, admin or rule. adjustment_id: not for affiliates."""

    version: int
    at: datetime
    change: str
    status: str
    outcome: OutcomeAnswer
    actor: str
    reason_code: str | None
    adjustment_id: str | None
    net_amount: MoneyAnswer | None
    steps: list[StepAnswer]


class ConversionTrailAnswer(BaseModel):
    """Every version of a conversion, oldest first."""

    items: list[ConversionVersionAnswer]


def version_answer(row: Mapping[str, Any], caller: Principal) -> ConversionVersionAnswer:
    """One line of the trail as `caller` may see it."""
    currency = row["currency"]
    return ConversionVersionAnswer(
        version=row["version"],
        at=row["at"],
        change=row["change"],
        status=row["status"],
        outcome=OutcomeAnswer.of(row["outcome"]),
        actor=row["actor_kind"],
        reason_code=row["reason_code"],
        adjustment_id=None if caller.role == "affiliate" else row["adjustment_id"],
        net_amount=None if currency is None else _money(Money(row["net_amount_minor"], currency)),
        steps=[StepAnswer(**step) for step in row["steps"]],
    )


class ReceiptAnswer(BaseModel):
    """One postback. authenticated false: kept for debugging only, with nothing of what was sent.

    repeats_receipt_id: the receipt whose answer a duplicate got. errors: field, code, message.
    """

    id: str
    merchant_id: int
    received_at: datetime
    authenticated: bool
    transport: str
    request_id: str
    http_status: int
    outcome: OutcomeAnswer
    conversion_id: str | None = None
    status: str | None = None
    duplicate: bool = False
    repeats_receipt_id: str | None = None
    event: str | None = None
    order_id: str | None = None
    adjustment_id: str | None = None
    click_id: str | None = None
    errors: list[dict[str, str]] = []


def receipt_answer(row: Mapping[str, Any]) -> ReceiptAnswer:
    """A stored receipt."""
    plain = ("merchant_id", "received_at", "transport", "request_id", "http_status", "status", "duplicate")
    reported = ("event", "order_id", "adjustment_id", "click_id", "errors")
    return ReceiptAnswer(
        id=str(row["id"]),
        authenticated=True,
        outcome=OutcomeAnswer.of(row["outcome"]),
        conversion_id=_text(row["conversion_id"]),
        repeats_receipt_id=_text(row["repeats_receipt_id"]),
        **{name: row[name] for name in (*plain, *reported)},
    )


def rejected_answer(row: Mapping[str, Any]) -> ReceiptAnswer:
    """An unauthenticated postback."""
    outcome = Outcome(row["outcome"])
    return ReceiptAnswer(
        id=str(row["id"]),
        merchant_id=row["merchant_id"],
        received_at=row["received_at"],
        authenticated=False,
        transport=row["transport"],
        request_id=row["request_id"],
        http_status=outcome.http_status,
        outcome=OutcomeAnswer.of(int(outcome)),
    )


def _money(money: Money | None) -> MoneyAnswer | None:
    return None if money is None else MoneyAnswer.of(money)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
