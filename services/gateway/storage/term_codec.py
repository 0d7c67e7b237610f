"""Terms as the contract spells them, which is also how they are stored."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from services.gateway.domain.offers import Term
from shared.contracts.catalogue import MoneyV1, TermV1
from shared.kernel.money import Money

_decoder = msgspec.json.Decoder(list[TermV1])


def wire_term(term: Term) -> TermV1:
    """The term as events carry it."""
    return TermV1(
        event=term.event,
        kind=term.kind,
        rate_percent=_rate_text(term.rate_percent),
        margin_percent=_rate_text(term.margin_percent),
        flat_amount=_wire_money(term.flat_amount),
        margin_amount=_wire_money(term.margin_amount),
    )


def encode_terms(terms: Sequence[Term]) -> str:
    """Terms as JSON text."""
    return msgspec.json.encode([wire_term(term) for term in terms]).decode()


def decode_terms(text: str) -> tuple[Term, ...]:
    """Terms out of the JSON text."""
    return tuple(_term(wire) for wire in _decoder.decode(text))


def _term(wire: TermV1) -> Term:
    return Term(
        event=wire.event,
        kind=wire.kind,
        rate_percent=None if wire.rate_percent is None else Decimal(wire.rate_percent),
        margin_percent=None if wire.margin_percent is None else Decimal(wire.margin_percent),
        flat_amount=None if wire.flat_amount is None else _money(wire.flat_amount),
        margin_amount=None if wire.margin_amount is None else _money(wire.margin_amount),
    )


def _rate_text(rate_percent: Decimal | None) -> str | None:
    return None if rate_percent is None else f"{rate_percent.normalize():f}"


def _wire_money(money: Money | None) -> MoneyV1 | None:
    return None if money is None else MoneyV1(amount_minor=money.amount_minor, currency=money.currency)


def _money(wire: MoneyV1) -> Money:
    return Money(wire.amount_minor, wire.currency)
