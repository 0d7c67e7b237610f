"""The heart: from what stands and what a conversion's next version says, to ledger transactions.

Order 100.00, affiliate 10 %, network 2 %, in minor units:

    event                   merchant_receivable  affiliate_pending  affiliate_payable  network_margin
    accrual                               +1200              −1000                                −200
    approval                                                 +1000              −1000
    refund before approval                −1200              +1000                                +200
    refund after approval                 −1200                                 +1000             +200
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from services.commissions.domain.caps import Cap
from services.commissions.domain.commission import (
    WITHHELD,
    CommissionStatus,
    Standing,
    TransitionRefused,
    require_transition,
)
from services.commissions.domain.ledger import (
    NETWORK_MARGIN,
    LedgerEntry,
    LedgerTransaction,
    TransactionKind,
    affiliate_payable,
    affiliate_pending,
    merchant_receivable,
)
from services.commissions.domain.orders import NO_FACTS, Facts, Order
from services.commissions.domain.pricing import explain, given_of
from services.commissions.domain.terms import Price, PricingImpossible, RichTerm, Term, price
from shared.contracts.commissions import NO_DECISIONS, DecisionsV1
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id
from shared.kernel.money import Money, zero

CREDITED = frozenset({"pending", "approved"})
"""Conversion states in which the affiliate has a credit; in every other one it has none."""


@dataclass(frozen=True, slots=True)
class CreditVersion:
    """What one version of an attributed conversion says. event_id: of the event that brought it.

    status: the conversion's. term, hold_days: of the click's offer version; a credit cannot do without the term.
    caps: those of the offer version that count this event.
    quantity: clicks of a bundle. facts: what a rich term asks about; others never look at them.
    pays_in: the currency that the credit is in, None for the order's own.
    """

    event_id: UUID
    commission_id: UUID
    conversion_id: UUID
    version: int
    status: str
    affiliate_id: int
    merchant_id: int
    offer_id: int
    offer_version: int
    ordered: Money | None
    net: Money | None
    occurred_at: datetime
    term: Term | None
    hold_days: int
    reason_code: str | None = None
    caps: tuple[Cap, ...] = ()
    quantity: int = 1
    facts: Facts = NO_FACTS
    pays_in: str | None = None

    @property
    def attribution(self) -> tuple[int, int, int]:
        """Whom the click credits, and by which offer version."""
        return self.affiliate_id, self.offer_id, self.offer_version


class AttributionChanged(TributaryError):
    """A version that would move a credit from one affiliate, or offer version, to another."""

    code = "attribution_changed"


@dataclass(frozen=True, slots=True)
class Release:
    """Finance lets through what is withheld: a step of its own after a conversion's version. n: from 1.

    event_id: from which what it posts gets its ids. actor: `key:<id>` of who released.
    """

    event_id: UUID
    n: int
    actor: str
    occurred_at: datetime
    reason_code: str


@dataclass(frozen=True, slots=True)
class Posted:
    """One ledger transaction and what stands after it."""

    transaction: LedgerTransaction
    before: Price
    after: Price
    status: CommissionStatus


@dataclass(frozen=True, slots=True)
class Applied:
    """The outcome of one version: what stands now (None: still no commission), and what was posted, in order."""

    standing: Standing | None
    posted: tuple[Posted, ...]


def apply_version(standing: Standing | None, version: CreditVersion, decisions: DecisionsV1 = NO_DECISIONS) -> Applied:
    """What follows from `version`, given what stands and what was decided beside it.

    Pure. What is held or over its cap stands with nothing posted until finance releases it. An accrual opens a
    commission, an adjustment posts the difference between the new price and the standing one, an approval moves it to
    payable, a reversal takes back all that stands. Amounts of zero post nothing, but the state still changes.
    A price that a cap refuses leaves standing what stands. Raises PricingImpossible, TransitionRefused,
    AttributionChanged.
    """
    applied = _apply(standing, version, decisions)
    if applied.standing is None or not decisions.grants:
        return applied
    return replace(applied, standing=replace(applied.standing, grants=tuple(decisions.grants)))


def _apply(standing: Standing | None, version: CreditVersion, decisions: DecisionsV1) -> Applied:
    if standing is not None and standing.attribution != version.attribution:
        raise AttributionChanged("a credited conversion keeps its affiliate and its offer version")
    if version.status not in CREDITED:
        return _reverse(standing, version)
    if standing is not None and standing.status is CommissionStatus.REVERSED:
        require_transition(standing.status, CommissionStatus.ACCRUED)
    if standing is not None and standing.status in WITHHELD:
        return Applied(_withheld_still(standing, version, decisions), ())
    if standing is None and decisions.held is not None:
        return Applied(_hold(version), ())
    target = target_price(version, decisions)
    steps: list[Posted] = []
    if standing is None and not all(grant.is_granted for grant in decisions.grants):
        return Applied(_withhold(version, target, CommissionStatus.OVER_CAP), ())
    if standing is None:
        standing = _accrue(version, target, steps)
    elif not all(grant.is_granted for grant in decisions.grants or standing.grants):
        standing = replace(standing, target=target)
    elif (standing.commission, standing.margin) != (target.commission, target.margin):
        standing = replace(_adjust(standing, version, target, steps), target=None)
    elif standing.target is not None:
        standing = replace(standing, target=None)
    standing = _with_net(standing, version.net)
    if version.status == "approved" and standing.status is CommissionStatus.ACCRUED:
        standing = _approve(standing, version, steps)
    return Applied(standing, tuple(steps))


def apply_release(standing: Standing, version: CreditVersion, release: Release, decisions: DecisionsV1) -> Applied:
    """What follows from a release. version: the last one applied, which prices it.

    Pure. What is held or over its cap accrues, and is approved if the conversion is, payable when it would have been;
    a raise that a cap refused is posted. What was held may turn out over its cap, and then waits for another release.
    Raises TransitionRefused where nothing is withheld or it is held still, PricingImpossible.
    """
    if not is_withheld(standing) or decisions.held is not None:
        raise TransitionRefused("nothing is withheld that could be released")
    target, steps = target_price(version, decisions), list[Posted]()
    posting = replace(
        version, event_id=release.event_id, occurred_at=release.occurred_at, reason_code=release.reason_code
    )
    grants = tuple(decisions.grants) or standing.grants
    if standing.status not in WITHHELD:
        after = _adjust(standing, posting, target, steps)
    elif not all(grant.is_granted for grant in grants):
        nothing = zero(target.commission.currency)
        status = require_transition(standing.status, CommissionStatus.OVER_CAP)
        after = replace(standing, status=status, commission=nothing, margin=nothing)
    else:
        require_transition(standing.status, CommissionStatus.ACCRUED)
        after = replace(_accrue(posting, target, steps), payable_at=standing.payable_at)
        if version.status == "approved":
            after = _approve(after, posting, steps)
    is_over_cap = after.status is CommissionStatus.OVER_CAP
    return Applied(replace(after, grants=grants, target=target if is_over_cap else None), tuple(steps))


def is_withheld(standing: Standing) -> bool:
    """Whether finance can release something of it."""
    return standing.status in WITHHELD or standing.target is not None


def target_price(version: CreditVersion, decisions: DecisionsV1 = NO_DECISIONS) -> Price:
    """What `version` is worth under its term and what was decided beside it. Raises PricingImpossible.

    A simple term in the order's own currency is answered without its facts being looked at.
    """
    term = version.term
    if term is None:
        raise PricingImpossible("the offer version has no term for this event")
    if isinstance(term, RichTerm) or decisions.rate is not None:
        order = Order(version.ordered, version.net, version.quantity, version.facts)
        target = explain(term, order, given_of(version.affiliate_id, decisions)).price
        return _require_paid(version, target)
    target = price(term, ordered=version.ordered, net=version.net, quantity=version.quantity)
    if target.commission.currency != target.margin.currency:
        raise PricingImpossible("commission and margin are in one currency")
    return _require_paid(version, target)


def _require_paid(version: CreditVersion, target: Price) -> Price:
    """A price in the currency that the offer version pays in: without its rate no amount passes for another."""
    if version.pays_in is not None and target.commission.currency != version.pays_in:
        raise PricingImpossible("the offer version pays in another currency, and no rate was decided")
    return target


def _hold(version: CreditVersion) -> Standing:
    """Nothing, in the currency that the credit will be in. Its price is not known yet, and counts as no other."""
    if version.pays_in is None:
        raise PricingImpossible("only what has to be converted waits for a rate")
    nothing = zero(version.pays_in)
    return _withhold(version, Price(nothing, nothing), CommissionStatus.HELD)


def _withhold(version: CreditVersion, target: Price, status: CommissionStatus) -> Standing:
    nothing = zero(target.commission.currency)
    require_transition(None, status)
    standing = Standing(version.attribution, status, nothing, nothing, version.net, None, None)
    return _waiting(standing, version, target)


def _withheld_still(standing: Standing, version: CreditVersion, decisions: DecisionsV1) -> Standing:
    """What is held or over its cap follows its order, and waits."""
    target = target_price(version, decisions) if standing.status is CommissionStatus.OVER_CAP else standing.target
    return _waiting(_with_net(standing, version.net), version, target)


def _waiting(standing: Standing, version: CreditVersion, target: Price | None) -> Standing:
    """With the price that is withheld, and the day on which it is payable once approved: waiting costs no time."""
    payable_at = standing.payable_at
    if version.status == "approved" and payable_at is None:
        payable_at = version.occurred_at + timedelta(days=version.hold_days)
    is_held = standing.status is CommissionStatus.HELD
    return replace(standing, target=None if is_held else target, payable_at=payable_at)


def _accrue(version: CreditVersion, target: Price, steps: list[Posted]) -> Standing:
    require_transition(None, CommissionStatus.ACCRUED)
    nothing = Price(zero(target.commission.currency), zero(target.commission.currency))
    entries = _credit_entries(version, nothing, target, CommissionStatus.ACCRUED, None)
    accrual_id = None
    if entries:
        transaction = _transaction(version, TransactionKind.ACCRUAL, entries, None)
        accrual_id = transaction.transaction_id
        steps.append(Posted(transaction, nothing, target, CommissionStatus.ACCRUED))
    return Standing(
        version.attribution,
        CommissionStatus.ACCRUED,
        target.commission,
        target.margin,
        version.net,
        None,
        accrual_id,
    )


def _adjust(standing: Standing, version: CreditVersion, target: Price, steps: list[Posted]) -> Standing:
    before = Price(standing.commission, standing.margin)
    if before.commission.currency != target.commission.currency:
        raise PricingImpossible("an adjustment stays in the order's currency")
    entries = _credit_entries(version, before, target, standing.status, standing.payable_at)
    accrual_id = standing.accrual_id
    if entries:
        transaction = _transaction(version, TransactionKind.ADJUSTMENT, entries, standing.accrual_id)
        accrual_id = accrual_id or transaction.transaction_id
        steps.append(Posted(transaction, before, target, standing.status))
    return replace(standing, commission=target.commission, margin=target.margin, net=version.net, accrual_id=accrual_id)


def _approve(standing: Standing, version: CreditVersion, steps: list[Posted]) -> Standing:
    status = require_transition(standing.status, CommissionStatus.APPROVED)
    payable_at = standing.payable_at or version.occurred_at + timedelta(days=version.hold_days)
    stands = Price(standing.commission, standing.margin)
    amount, currency = standing.commission.amount_minor, standing.commission.currency
    if amount:
        entries = (
            LedgerEntry(affiliate_pending(version.affiliate_id), currency, amount),
            LedgerEntry(affiliate_payable(version.affiliate_id), currency, -amount, payable_at),
        )
        transaction = _transaction(version, TransactionKind.APPROVAL, entries, None)
        steps.append(Posted(transaction, stands, stands, status))
    return replace(standing, status=status, payable_at=payable_at)


def _reverse(standing: Standing | None, version: CreditVersion) -> Applied:
    if standing is None or standing.status is CommissionStatus.REVERSED:
        return Applied(standing, ())
    status = require_transition(standing.status, CommissionStatus.REVERSED)
    before = Price(standing.commission, standing.margin)
    nothing = Price(zero(standing.commission.currency), zero(standing.commission.currency))
    entries = _credit_entries(version, before, nothing, standing.status, standing.payable_at)
    posted: tuple[Posted, ...] = ()
    if entries:
        transaction = _transaction(version, TransactionKind.REVERSAL, entries, standing.accrual_id)
        posted = (Posted(transaction, before, nothing, status),)
    after = replace(
        standing, status=status, commission=nothing.commission, margin=nothing.margin, net=version.net, target=None
    )
    return Applied(after, posted)


def _credit_entries(
    version: CreditVersion,
    before: Price,
    after: Price,
    status: CommissionStatus,
    payable_at: datetime | None,
) -> tuple[LedgerEntry, ...]:
    """What moves when a credit goes from one price to another: the merchant owes both parts, or owes less."""
    currency = after.commission.currency
    commission = (after.commission - before.commission).amount_minor
    margin = (after.margin - before.margin).amount_minor
    approved = status is CommissionStatus.APPROVED
    credited = (affiliate_payable if approved else affiliate_pending)(version.affiliate_id)
    entries = (
        LedgerEntry(merchant_receivable(version.merchant_id), currency, commission + margin),
        LedgerEntry(credited, currency, -commission, payable_at if approved else None),
        LedgerEntry(NETWORK_MARGIN, currency, -margin),
    )
    return tuple(entry for entry in entries if entry.amount_minor)


def _with_net(standing: Standing, net: Money | None) -> Standing:
    return standing if standing.net == net else replace(standing, net=net)


def _transaction(
    version: CreditVersion, kind: TransactionKind, entries: tuple[LedgerEntry, ...], reverses: UUID | None
) -> LedgerTransaction:
    return LedgerTransaction(
        transaction_id=derived_id(version.event_id, kind.value),
        kind=kind,
        commission_id=version.commission_id,
        conversion_id=version.conversion_id,
        conversion_version=version.version,
        offer_id=version.offer_id,
        offer_version=version.offer_version,
        occurred_at=version.occurred_at,
        entries=entries,
        reverses=reverses,
        reason_code=version.reason_code,
    )
