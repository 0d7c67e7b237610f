"""Commissions as their readers may see them: an affiliate sees its own amount and nothing of another party's."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from services.commissions.api.price_answers import PriceAnswer, price_answer
from services.commissions.api.term_view import term_view
from services.commissions.domain.caps import CapKey
from services.commissions.domain.commission import CommissionStatus
from services.commissions.domain.pricing import Explanation
from services.commissions.storage.commission_reader import StoredCommission, StoredPosting, StoredStep
from services.commissions.usecases.read_commissions import Trail
from shared.kernel.money import Money
from shared.runtime.http_app import MoneyAnswer
from shared.runtime.principal import Principal


class WithheldAnswer(BaseModel):
    """What waits for finance, and why: `over_cap` (caps: whose) or `held`. amount: the affiliate's as it would stand.

    amount, charge: null while the price is not known, such as without an exchange rate; charge not for affiliates.
    """

    reason: str
    amount: MoneyAnswer | None
    charge: MoneyAnswer | None
    caps: list[str]


class CommissionAnswer(BaseModel):
    """amount: the affiliate's. margin, charge (both: what the merchant owes), order_id: not for affiliates.

    subs, aff_click_id: not for merchants. status: `accrued`, `approved` (not due yet), `payable`, `paid`, `reversed`;
    `over_cap`, `held`: nothing is posted until finance releases it. withheld: null where nothing waits.
    """

    id: str
    conversion_id: str
    status: str
    event: str
    offer_id: int
    offer_version: int
    affiliate_id: int
    merchant_id: int
    amount: MoneyAnswer
    margin: MoneyAnswer | None
    charge: MoneyAnswer | None
    net_amount: MoneyAnswer | None
    term: dict[str, Any]
    payable_at: datetime | None
    recorded_at: datetime
    changed_at: datetime
    order_id: str | None
    click_id: str | None
    subs: dict[str, str] | None
    aff_click_id: str | None
    withheld: WithheldAnswer | None


class CommissionVersionAnswer(BaseModel):
    """One version of the conversion and what it changed. transaction_ids: those of `postings` that it caused.

    price: what the version is worth under the term and why, computed again from its stored inputs; null where it
    credits nobody. It differs from amount_after while the commission is held or over its cap.
    release_number: from 1 where finance released, after that version, what was withheld; then change is `released`.
    """

    version: int
    release_number: int
    change: str
    conversion_status: str
    reason_code: str | None
    occurred_at: datetime
    offer_version: int
    net_before: MoneyAnswer | None
    net_after: MoneyAnswer | None
    amount_before: MoneyAnswer
    amount_after: MoneyAnswer
    margin_before: MoneyAnswer | None
    margin_after: MoneyAnswer | None
    transaction_ids: list[str]
    price: PriceAnswer | None


class EntryAnswer(BaseModel):
    """One entry of a ledger transaction. Debit is positive."""

    account: str
    amount: MoneyAnswer


class PostingAnswer(BaseModel):
    """One ledger transaction and the block that seals it; only the entries that the reader may see."""

    transaction_id: str
    kind: str
    version: int | None
    reason_code: str | None
    reverses: str | None
    occurred_at: datetime
    booked_at: datetime
    block_number: int
    entries: list[EntryAnswer]


class CommissionTrailAnswer(BaseModel):
    """Why a commission is what it is. term: what the click's offer version pays; it priced every version."""

    commission: CommissionAnswer
    versions: list[CommissionVersionAnswer]
    postings: list[PostingAnswer]


def commission_answer(found: StoredCommission, caller: Principal, now: datetime) -> CommissionAnswer:
    """One commission as `caller` may see it."""
    for_affiliate, for_merchant = caller.role == "affiliate", caller.role == "merchant"
    return CommissionAnswer(
        id=str(found.commission_id),
        conversion_id=str(found.conversion_id),
        status=found.status_at(now),
        event=found.conversion_event,
        offer_id=found.offer_id,
        offer_version=found.offer_version,
        affiliate_id=found.affiliate_id,
        merchant_id=found.merchant_id,
        amount=MoneyAnswer.of(found.commission),
        margin=None if for_affiliate else MoneyAnswer.of(found.margin),
        charge=None if for_affiliate else MoneyAnswer.of(found.commission + found.margin),
        net_amount=_money(found.net),
        term=term_view(found.term, affiliate_id=caller.affiliate_id if for_affiliate else None),
        payable_at=found.payable_at,
        recorded_at=found.recorded_at,
        changed_at=found.changed_at,
        order_id=None if for_affiliate else found.order_id,
        click_id=found.click_id,
        subs=None if for_merchant else dict(found.subs),
        aff_click_id=None if for_merchant else found.aff_click_id,
        withheld=_withheld(found, for_affiliate=for_affiliate) if found.is_withheld else None,
    )


def _withheld(found: StoredCommission, *, for_affiliate: bool) -> WithheldAnswer:
    target = found.target
    return WithheldAnswer(
        reason="held" if found.status is CommissionStatus.HELD else "over_cap",
        amount=None if target is None else MoneyAnswer.of(target.commission),
        charge=None if target is None or for_affiliate else MoneyAnswer.of(target.commission + target.margin),
        caps=[CapKey.of(grant.key).name for grant in found.grants if not grant.is_granted],
    )


def trail_answer(trail: Trail, caller: Principal, now: datetime) -> CommissionTrailAnswer:
    """The whole trail as `caller` may see it."""
    visible = {posting.transaction_id for posting in trail.postings}
    return CommissionTrailAnswer(
        commission=commission_answer(trail.commission, caller, now),
        versions=[
            _version(step, price, trail.commission, caller, visible)
            for step, price in zip(trail.steps, trail.prices, strict=True)
        ],
        postings=[_posting(posting) for posting in trail.postings],
    )


def _version(
    step: StoredStep, price: Explanation | None, of: StoredCommission, caller: Principal, visible: set[Any]
) -> CommissionVersionAnswer:
    for_affiliate = caller.role == "affiliate"
    net_currency = of.commission.currency if of.net is None else of.net.currency

    def net(minor: int | None) -> MoneyAnswer | None:
        return None if minor is None else MoneyAnswer.of(Money(minor, net_currency))

    def credit(minor: int) -> MoneyAnswer:
        return MoneyAnswer.of(Money(minor, of.commission.currency))

    return CommissionVersionAnswer(
        version=step.version,
        release_number=step.n,
        change=step.change,
        conversion_status=step.status,
        reason_code=step.reason_code,
        occurred_at=step.occurred_at,
        offer_version=of.offer_version,
        net_before=net(step.net_before_minor),
        net_after=net(step.net_after_minor),
        amount_before=credit(step.commission_before_minor),
        amount_after=credit(step.commission_after_minor),
        margin_before=None if for_affiliate else credit(step.margin_before_minor),
        margin_after=None if for_affiliate else credit(step.margin_after_minor),
        transaction_ids=[str(each) for each in step.transaction_ids if each in visible],
        price=None if price is None else price_answer(price, caller.role),
    )


def _posting(posting: StoredPosting) -> PostingAnswer:
    return PostingAnswer(
        transaction_id=str(posting.transaction_id),
        kind=posting.kind,
        version=posting.version,
        reason_code=posting.reason_code,
        reverses=None if posting.reverses is None else str(posting.reverses),
        occurred_at=posting.occurred_at,
        booked_at=posting.booked_at,
        block_number=posting.block_number,
        entries=[
            EntryAnswer(account=account, amount=MoneyAnswer.of(Money(minor, posting.currency)))
            for account, minor in posting.entries
        ],
    )


def _money(money: Money | None) -> MoneyAnswer | None:
    return None if money is None else MoneyAnswer.of(money)
