"""`tributary price`: what a conversion would be worth under an offer, and why. Nothing is written."""

from typing import Annotated, Any

import typer
from pydantic import ValidationError

from deploy.cli.output import EXIT_PROBLEM, JsonOption, complain, print_json, print_table
from deploy.cli.place import database_as, run
from services.commissions.api.price_answers import ExactAnswer, PricePartAnswer
from services.commissions.api.pricing import TrialAnswer, TrialBody, read_trial, trial_answer
from services.commissions.usecases.price_trial import price_trial
from shared.kernel.errors import TributaryError
from shared.runtime.clock import SystemClock

Amount = Annotated[str | None, typer.Option(metavar="DECIMAL", help="In --currency.")]
Text = Annotated[str | None, typer.Option()]

_ITEM_FIELDS = ("sku", "category", "quantity", "amount")


def price(
    offer_id: Annotated[int, typer.Argument(metavar="OFFER_ID", min=1)],
    version: Annotated[int | None, typer.Option(help="Of the offer; the current one without it.")] = None,
    event: Annotated[str, typer.Option(help="sale, lead, click …")] = "sale",
    amount: Annotated[str | None, typer.Option(metavar="DECIMAL", help="Of the order, as first reported.")] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217, of the order.")] = "EUR",
    net: Annotated[str | None, typer.Option(metavar="DECIMAL", help="What is left after refunds.")] = None,
    tax: Amount = None,
    shipping: Amount = None,
    discount: Amount = None,
    item: Annotated[
        list[str] | None, typer.Option(help="A line: sku=S,category=C,quantity=2,amount=9.99; may be repeated.")
    ] = None,
    coupon: Text = None,
    customer_status: Annotated[str | None, typer.Option(help="new or returning.")] = None,
    country: Annotated[str | None, typer.Option(help="ISO 3166, such as DE.")] = None,
    source: Text = None,
    sub: Annotated[list[str] | None, typer.Option(help="sub1=TEXT; may be repeated.")] = None,
    quantity: Annotated[int, typer.Option(min=1, help="Clicks of a bundle.")] = 1,
    affiliate: Annotated[int | None, typer.Option(help="Whose own override is asked.")] = None,
    group: Annotated[list[str] | None, typer.Option(help="A group of the affiliate; may be repeated.")] = None,
    tier: Annotated[int, typer.Option(min=0, help="The level reached, from 0.")] = 0,
    received_at: Annotated[str | None, typer.Option(metavar="TIME", help="With its zone.")] = None,
    customer_first_at: Annotated[str | None, typer.Option(metavar="TIME", help="The customer's first order.")] = None,
    exchange_rate: Annotated[str | None, typer.Option(help="--currency in the offer's own currency.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Say what a conversion would be worth under an offer version, and why. Writes nothing. Exit 1: it has no price."""
    money = _Money(currency)
    asked: dict[str, Any] = {
        "offer_id": offer_id, "version": version, "event": event, "affiliate_id": affiliate, "groups": group or [],
        "tier": tier, "order_amount": money.of(amount), "net_amount": money.of(net), "tax": money.of(tax),
        "shipping": money.of(shipping), "discount": money.of(discount), "quantity": quantity, "coupon": coupon,
        "customer_status": customer_status, "country": country, "source": source,
        "items": [_line(each, money) for each in item or []], "subs": dict(_pair(each) for each in sub or []),
        "received_at": received_at, "customer_first_at": customer_first_at, "exchange_rate": exchange_rate,
    }  # fmt: skip
    try:
        answer = run(_price(TrialBody.model_validate(asked)))
    except ValidationError as invalid:
        fault = invalid.errors(include_url=False, include_input=False)[0]
        complain(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}.", "`tributary price --help` says what it takes.")
        raise typer.Exit(EXIT_PROBLEM) from None
    except TributaryError as refused:
        complain(f"{refused}.")
        raise typer.Exit(EXIT_PROBLEM) from None
    if as_json:
        print_json(answer.model_dump(mode="json"))
    else:
        _show(answer)


class _Money:
    def __init__(self, currency: str) -> None:
        self.currency = currency

    def of(self, amount: str | None) -> dict[str, str] | None:
        """As a body spells it."""
        return None if amount is None else {"amount": amount, "currency": self.currency}


async def _price(body: TrialBody) -> TrialAnswer:
    trial = read_trial(body)
    async with database_as("commissions", "staff") as database, database.transaction() as session:
        return trial_answer(body, await price_trial(session, trial, today=SystemClock().now().date()), "admin")


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise typer.BadParameter(f"{name} needs a value: {name}=TEXT.")
    return name, value


def _line(text: str, money: _Money) -> dict[str, Any]:
    fields: dict[str, Any] = dict(_pair(each) for each in text.split(","))
    unknown = sorted(set(fields) - set(_ITEM_FIELDS))
    if unknown:
        raise typer.BadParameter(f"An item has {', '.join(_ITEM_FIELDS)}; not {unknown[0]}.")
    quantity = str(fields.get("quantity", "1"))
    if not quantity.isdecimal():
        raise typer.BadParameter("An item's quantity is a whole number.")
    return {**fields, "quantity": int(quantity), "amount": money.of(fields.get("amount"))}


def _show(answer: TrialAnswer) -> None:
    price = answer.price
    print_table(
        ("PART", "DECIDED BY", "BASE", "RATE %", "FLAT", "TIMES", "COMMISSION", "MARGIN", "ASKED BEFORE"),
        [
            (
                ", ".join([*(f"line {line}" for line in part.lines), *(["order"] if part.is_rest else [])]),
                _decided_by(part),
                _text(part.base),
                part.rate_percent,
                _text(part.flat_amount),
                part.units,
                _text(part.amount_before_rounding),
                _text(part.margin_before_rounding),
                "; ".join(f"{each.rank} {each.name}: {each.failed.fact}" for each in part.passed_over) or None,
            )
            for part in price.parts
        ],
    )
    rows: list[tuple[str, object]] = [
        ("offer", f"{answer.offer_id} version {answer.version}, {answer.event}"),
        *((f"without {each.part}", f"{each.amount.amount} {each.amount.currency}") for each in price.excluded),
        ("before rounding", _text(price.amount_before_rounding)),
        ("commission", f"{price.amount.amount} {price.amount.currency}"),
    ]
    if price.margin is not None and price.charge is not None:
        rows += [("margin", price.margin.amount), ("charge", price.charge.amount)]
    if answer.referral is not None:
        rows.append(("second level", answer.referral.amount))
    if price.earns_nothing is not None:
        rows.append(("earns nothing", price.earns_nothing))
    if price.is_limited_to_order or answer.exceeds_order:
        rows.append(("order", "limited to it" if price.is_limited_to_order else "exceeded"))
    print_table(("", ""), rows)


def _decided_by(part: PricePartAnswer) -> str:
    override = "" if part.override is None else f" of {part.group or 'the affiliate'}"
    if part.decided_by == "rule":
        return f"rule {part.rank} {part.name}{override}"
    return f"tier {part.tier}" if part.decided_by == "tier" else part.decided_by.replace("_", " ") + override


def _text(amount: ExactAnswer | None) -> str | None:
    return None if amount is None else f"{amount.amount} {amount.currency}"
