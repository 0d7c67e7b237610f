"""Terms and caps as the contract spells them, which is also how they are stored."""

from collections.abc import Sequence
from decimal import Decimal

import msgspec

from services.gateway.domain.terms import Cap, Condition, Override, Rate, Referral, Rule, Term, Tier, Tiers
from shared.contracts.catalogue import (
    CapV1,
    ConditionV1,
    MoneyV1,
    OverrideV1,
    RateV1,
    ReferralV1,
    RuleV1,
    TermV1,
    TiersV1,
    TierV1,
)
from shared.kernel.money import Money

_term_decoder = msgspec.json.Decoder(list[TermV1])
_cap_decoder = msgspec.json.Decoder(list[CapV1])


def encode_terms(terms: Sequence[Term]) -> str:
    """Terms as JSON text."""
    return msgspec.json.encode([wire_term(term) for term in terms]).decode()


def decode_terms(text: str) -> tuple[Term, ...]:
    """Terms out of the JSON text."""
    return tuple(read_wire_term(wire) for wire in _term_decoder.decode(text))


def encode_caps(caps: Sequence[Cap]) -> str:
    """Caps as JSON text."""
    return msgspec.json.encode([wire_cap(cap) for cap in caps]).decode()


def decode_caps(text: str) -> tuple[Cap, ...]:
    """Caps out of the JSON text."""
    return tuple(read_wire_cap(wire) for wire in _cap_decoder.decode(text))


def wire_term(term: Term) -> TermV1:
    """The term as events carry it."""
    return TermV1(
        event=term.event,
        kind=term.kind,
        rate_percent=_rate_text(term.rate_percent),
        margin_percent=_rate_text(term.margin_percent),
        flat_amount=_wire_money(term.flat_amount),
        margin_amount=_wire_money(term.margin_amount),
        margin_mode=term.margin_mode,
        excludes=list(term.excludes),
        rules=[_wire_rule(rule) for rule in term.rules],
        tiers=None if term.tiers is None else _wire_tiers(term.tiers),
        overrides=[_wire_override(override) for override in term.overrides],
        referral=None if term.referral is None else _wire_referral(term.referral),
        recurring_months=term.recurring_months,
        may_exceed_order=term.may_exceed_order,
    )


def read_wire_term(wire: TermV1) -> Term:
    """The term behind its wire form. Its content was judged before it was published, and is not again."""
    return Term(
        event=wire.event,
        kind=wire.kind,
        rate_percent=_rate(wire.rate_percent),
        margin_percent=_rate(wire.margin_percent),
        flat_amount=_money(wire.flat_amount),
        margin_amount=_money(wire.margin_amount),
        margin_mode=wire.margin_mode,
        excludes=tuple(wire.excludes),
        rules=tuple(_rule(rule) for rule in wire.rules),
        tiers=None if wire.tiers is None else _tiers(wire.tiers),
        overrides=tuple(_override(override) for override in wire.overrides),
        referral=None
        if wire.referral is None
        else Referral(rate_percent=Decimal(wire.referral.rate_percent), of=wire.referral.of),
        recurring_months=wire.recurring_months,
        may_exceed_order=wire.may_exceed_order,
    )


def wire_cap(cap: Cap) -> CapV1:
    """The cap as events carry it."""
    return CapV1(
        name=cap.name,
        scope=cap.scope,
        period=cap.period,
        amount=_wire_money(cap.amount),
        count=cap.count,
        event=cap.event,
    )


def read_wire_cap(wire: CapV1) -> Cap:
    """The cap behind its wire form."""
    return Cap(
        name=wire.name,
        scope=wire.scope,
        period=wire.period,
        amount=_money(wire.amount),
        count=wire.count,
        event=wire.event,
    )


def _wire_pays(rate: Rate) -> RateV1:
    return RateV1(
        rate_percent=_rate_text(rate.rate_percent),
        flat_amount=_wire_money(rate.flat_amount),
        margin_percent=_rate_text(rate.margin_percent),
        margin_amount=_wire_money(rate.margin_amount),
    )


def _pays(wire: RateV1) -> Rate:
    return Rate(
        rate_percent=_rate(wire.rate_percent),
        flat_amount=_money(wire.flat_amount),
        margin_percent=_rate(wire.margin_percent),
        margin_amount=_money(wire.margin_amount),
    )


def _wire_rule(rule: Rule) -> RuleV1:
    conditions = [
        ConditionV1(fact=c.fact, holds=c.holds, values=list(c.values), currency=c.currency) for c in rule.conditions
    ]
    return RuleV1(rank=rule.rank, name=rule.name, conditions=conditions, pays=_wire_pays(rule.pays))


def _rule(wire: RuleV1) -> Rule:
    conditions = tuple(
        Condition(fact=c.fact, holds=c.holds, values=tuple(c.values), currency=c.currency) for c in wire.conditions
    )
    return Rule(rank=wire.rank, name=wire.name, conditions=conditions, pays=_pays(wire.pays))


def _wire_tiers(tiers: Tiers) -> TiersV1:
    return TiersV1(
        measure=tiers.measure,
        mode=tiers.mode,
        tiers=[
            TierV1(pays=_wire_pays(t.pays), from_count=t.from_count, from_amount=_wire_money(t.from_amount))
            for t in tiers.tiers
        ],
    )


def _tiers(wire: TiersV1) -> Tiers:
    return Tiers(
        measure=wire.measure,
        mode=wire.mode,
        tiers=tuple(
            Tier(pays=_pays(t.pays), from_count=t.from_count, from_amount=_money(t.from_amount)) for t in wire.tiers
        ),
    )


def _wire_override(override: Override) -> OverrideV1:
    return OverrideV1(
        pays=_wire_pays(override.pays),
        affiliate_id=override.affiliate_id,
        group=override.group,
        rules=[_wire_rule(rule) for rule in override.rules],
    )


def _override(wire: OverrideV1) -> Override:
    return Override(
        pays=_pays(wire.pays),
        affiliate_id=wire.affiliate_id,
        group=wire.group,
        rules=tuple(_rule(rule) for rule in wire.rules),
    )


def _wire_referral(referral: Referral) -> ReferralV1:
    return ReferralV1(rate_percent=f"{referral.rate_percent.normalize():f}", of=referral.of)


def _rate_text(rate_percent: Decimal | None) -> str | None:
    return None if rate_percent is None else f"{rate_percent.normalize():f}"


def _rate(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _wire_money(money: Money | None) -> MoneyV1 | None:
    return None if money is None else MoneyV1(amount_minor=money.amount_minor, currency=money.currency)


def _money(wire: MoneyV1 | None) -> Money | None:
    return None if wire is None else Money(wire.amount_minor, wire.currency)
