"""`POST /v1/pricing/dry-run`: what a conversion would be worth, and why; nothing is written."""

from fractions import Fraction
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import AwareDatetime, BaseModel, Field

from services.commissions.api.desk import desk_of
from services.commissions.api.price_answers import PriceAnswer, price_answer
from services.commissions.domain.exchange_rates import parse_rate
from services.commissions.domain.orders import Facts, Line, Order
from services.commissions.domain.rules import Given
from services.commissions.domain.terms import PricingImpossible
from services.commissions.usecases.price_trial import OfferVersionUnknown, Trial, TrialPrice, price_trial
from shared.kernel.errors import InvalidValue
from shared.kernel.money import Money, is_currency, parse_money
from shared.runtime.http_app import MoneyAnswer, MoneyModel, PlainText, StrictModel, StrictRoute, WireId
from shared.runtime.principal import Principal, Role, require_role
from shared.runtime.problem import field_invalid, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["pricing"])
Pricer = Annotated[Principal, Depends(require_role("merchant", "admin", "finance"))]

ITEMS_MAX: Final = 50
GROUPS_MAX: Final = 20
QUANTITY_MAX: Final = 1_000_000
VERSION_MAX: Final = 65_535
TIER_MAX: Final = 99
NOBODY: Final = 0
"""No affiliate has this id, so no override is its own."""

_Word = Annotated[str, PlainText(64)]
_Label = Annotated[str, PlainText(255)]
_Sub = Annotated[str, Field(pattern=r"^sub([1-9]|10)$")]
_Quantity = Annotated[int, Field(ge=1, le=QUANTITY_MAX)]


class TrialLine(StrictModel):
    """One line of the order. amount: of the whole line, in the order's currency."""

    sku: _Word | None = None
    category: _Word | None = None
    quantity: _Quantity = 1
    amount: MoneyModel | None = None


class TrialBody(StrictModel):
    """A conversion that never happened. Amounts of the order are in one currency.

    version: of the offer; without it the one that new clicks carry. order_amount: as first reported; net_amount: what
    is left of it, all of it without. tax, shipping, discount: parts of order_amount. affiliate_id, groups: whose
    override may be asked; nobody's without. tier: the level reached, from 0. quantity: clicks of a bundle.
    customer_first_at: of the customer's first order, for terms that end after some months. exchange_rate: one unit of
    the order's currency in the one that the offer pays in.
    """

    offer_id: WireId
    version: Annotated[int, Field(ge=1, le=VERSION_MAX)] | None = None
    event: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,32}$")] = "sale"
    affiliate_id: WireId | None = None
    groups: Annotated[list[_Word], Field(max_length=GROUPS_MAX, default_factory=list)]
    tier: Annotated[int, Field(ge=0, le=TIER_MAX)] = 0
    order_amount: MoneyModel | None = None
    net_amount: MoneyModel | None = None
    tax: MoneyModel | None = None
    shipping: MoneyModel | None = None
    discount: MoneyModel | None = None
    items: Annotated[list[TrialLine], Field(max_length=ITEMS_MAX, default_factory=list)]
    quantity: _Quantity = 1
    coupon: _Label | None = None
    customer_status: Literal["new", "returning"] | None = None
    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$")] | None = None
    source: _Label | None = None
    subs: Annotated[dict[_Sub, _Label], Field(default_factory=dict)]
    received_at: AwareDatetime | None = None
    customer_first_at: AwareDatetime | None = None
    exchange_rate: Annotated[str, Field(max_length=26)] | None = None


class TrialAnswer(BaseModel):
    """What the conversion would be worth, and why. referral: to whoever brought the affiliate, on top of `price`.

    exceeds_order: commission, margin and referral together are more than what is left of the order.
    """

    offer_id: int
    version: int
    merchant_id: int
    event: str
    price: PriceAnswer
    referral: MoneyAnswer | None
    exceeds_order: bool


@router.post("/pricing/dry-run")
async def dry_run_price(request: Request, caller: Pricer, body: TrialBody) -> TrialAnswer:
    """Price any hypothetical conversion under a published offer version. Writes nothing, reserves nothing.

    Caps are not asked: they depend on what else happens. A merchant prices its own offers; another's are 404.
    """
    desk = desk_of(request)
    trial = read_trial(body)
    try:
        async with desk.reading(caller) as session:
            found = await price_trial(session, trial, today=desk.clock.now().date(), merchant_id=caller.merchant_id)
    except OfferVersionUnknown:
        raise not_found("offer_version_not_found", "There is no such offer version here.") from None
    except PricingImpossible as refused:
        raise field_invalid("order_amount", "pricing_impossible", str(refused)) from None
    return trial_answer(body, found, caller.role)


def trial_answer(body: TrialBody, found: TrialPrice, role: Role) -> TrialAnswer:
    """The answer as `role` may see it."""
    return TrialAnswer(
        offer_id=body.offer_id,
        version=found.version,
        merchant_id=found.merchant_id,
        event=body.event,
        price=price_answer(found.price, role),
        referral=None if found.referral is None else MoneyAnswer.of(found.referral),
        exceeds_order=found.exceeds_order,
    )


def read_trial(body: TrialBody) -> Trial:
    """The trial in a body. Raises InvalidValue naming the field."""
    ordered = _money(body.order_amount, "order_amount")
    net = ordered if body.net_amount is None else _money(body.net_amount, "net_amount", ordered)
    facts = Facts(
        received_at=body.received_at,
        coupon=body.coupon,
        customer_status=body.customer_status,
        country=body.country,
        source=body.source,
        subs=body.subs,
        lines=_lines(body, ordered),
        tax=_part(body.tax, "tax", ordered),
        shipping=_part(body.shipping, "shipping", ordered),
        discount=_part(body.discount, "discount", ordered),
        customer_first_at=body.customer_first_at,
    )
    if body.customer_first_at is not None and body.received_at is None:
        raise InvalidValue("received_at", "missing", "is required beside customer_first_at")
    order = Order(ordered, net, body.quantity, facts)
    given = Given(body.affiliate_id or NOBODY, tuple(body.groups), ((body.tier, Fraction(1)),))
    rate = None if body.exchange_rate is None else parse_rate(body.exchange_rate, field="exchange_rate")
    return Trial(body.offer_id, body.version, body.event, order, given, rate)


def _lines(body: TrialBody, ordered: Money | None) -> tuple[Line, ...]:
    lines = tuple(
        Line(each.sku, each.category, each.quantity, _part(each.amount, f"items.{number}.amount", ordered))
        for number, each in enumerate(body.items)
    )
    total = sum(line.amount.amount_minor for line in lines if line.amount is not None)
    if ordered is not None and total > ordered.amount_minor:
        raise InvalidValue("items", "part_exceeds_amount", "must not come to more than order_amount")
    return lines


def _part(part: MoneyModel | None, field: str, ordered: Money | None) -> Money | None:
    if part is not None and ordered is None:
        raise InvalidValue("order_amount", "missing", "is required beside parts of it")
    read = _money(part, field, ordered)
    if read is not None and ordered is not None and read.amount_minor > ordered.amount_minor:
        raise InvalidValue(field, "part_exceeds_amount", "must not be more than order_amount")
    return read


def _money(money: MoneyModel | None, field: str, beside: Money | None = None) -> Money | None:
    if money is None:
        return None
    if not is_currency(money.currency):
        raise InvalidValue(f"{field}.currency", "currency_unknown", "must be an ISO 4217 code such as EUR")
    read = parse_money(money.amount, money.currency, field=f"{field}.amount")
    if beside is not None and read.currency != beside.currency:
        raise InvalidValue(f"{field}.currency", "currency_mismatch", "must be the currency of order_amount")
    return read
