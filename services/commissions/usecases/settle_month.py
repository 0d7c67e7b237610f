"""Settle a closed month: true up what tiers made of it, and pay the second level, each in one posting a cohort."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.catalogue import OfferVersion, read_offer_version
from services.commissions.domain.cohorts import CohortItem, CohortTotal, total_of
from services.commissions.domain.orders import order_of
from services.commissions.domain.pricing import given_of
from services.commissions.domain.read_terms import read_referral
from services.commissions.domain.terms import general
from services.commissions.storage.cohort_store import (
    Cohort,
    CohortRow,
    claim_month,
    find_cohorts,
    find_items,
    find_tiered_versions,
    sum_posted,
)
from services.commissions.storage.commission_store import find_projected
from services.commissions.usecases.pay_goals import find_goal_bonuses
from services.commissions.usecases.post_acts import post_acts
from shared.contracts.catalogue import CATALOGUE_DECODER, AffiliateChangedV1, affiliate_key
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import CONVERSIONS_DECODER
from shared.kernel.clock import Clock
from shared.kernel.errors import TributaryError
from shared.kernel.ids import new_id
from shared.kernel.period import Period, months_after
from shared.runtime.database import Session
from shared.runtime.logging import get_logger

PAYABLE_AFTER: Final = timedelta(days=30)
"""What a month's total adds is payable this much later than the offer's own hold: refunds still come in."""

LOOKS_BACK_MONTHS: Final = 6
"""A change is dated by its conversion, and may be applied long after, when its month is settled: cohorts that changed
this much earlier are looked at again. Looking again posts nothing where nothing differs."""

_log = get_logger(__name__)


async def settle_month(session: Session, clock: Clock) -> int:
    """One step of a sweep: settle the oldest closed month that is not settled; gives how many acts it posted, 0 or 1.

    A cohort's total is what its conversions come to as they stand now; what was posted before, for each of them and at
    earlier month ends, is taken off, so that a refund that comes later is made good at the next month's end. Every
    act keeps the figures it follows from.
    """
    now = clock.now()
    period = await claim_month(session, now=now)
    if period is None:
        return 0
    versions = await _tiered_versions(session)
    acts: list[FinanceAct] = []
    since = months_after(period.start, -LOOKS_BACK_MONTHS)
    for cohort in await find_cohorts(session, list(versions), period, since=since) if versions else []:
        try:
            acts += await _settle(session, cohort, versions[cohort.offer_id, cohort.offer_version], period, now)
        except TributaryError as fault:
            _log.error("cohort_not_settled", cohort=cohort.name, reason=fault.code)
    acts += await find_goal_bonuses(session, period, now=now, payable_after=PAYABLE_AFTER)
    await post_acts(session, acts, now=now)
    return 1


async def _tiered_versions(session: Session) -> dict[tuple[int, int], OfferVersion]:
    found: dict[tuple[int, int], OfferVersion] = {}
    for payload in await find_tiered_versions(session):
        try:
            version = read_offer_version(CATALOGUE_DECODER.decode(payload))
        except (TributaryError, msgspec.MsgspecError):
            continue  # its conversions wait, visibly, for a repair: none is credited
        found[version.offer_id, version.version] = version
    return found


async def _settle(
    session: Session, cohort: Cohort, version: OfferVersion, period: Period, now: datetime
) -> list[FinanceAct]:
    priced = version.terms.get(cohort.event)
    if priced is None:
        return []
    referral, tiers = read_referral(priced.source), general(priced.term).tiers
    items = [_item(cohort, row) for row in await find_items(session, cohort)]
    total = total_of(priced.term, referral, items)
    told = {
        "cohort": cohort.name,
        "period": str(period),
        "merchant_id": cohort.merchant_id,
        "offer_id": cohort.offer_id,
        "offer_version": cohort.offer_version,
        "currency": cohort.currency,
        "conversions": len(items),
        "payable_at": (now + timedelta(days=version.hold_days) + PAYABLE_AFTER).isoformat(),
    }
    acts = []
    if tiers is not None:
        told_of = {**told, "measure": tiers.measure, "mode": tiers.mode, "achieved": total.achieved}
        acts += await _true_up(session, cohort, total, told_of, now)
    if total.referral_minor is not None:
        acts += await _second_level(session, cohort, total.referral_minor, told, now)
    return acts


def _item(cohort: Cohort, row: CohortRow) -> CohortItem:
    decisions = msgspec.json.decode(row.decisions, type=DecisionsV1)
    event = CONVERSIONS_DECODER.decode(row.payload)
    given = given_of(cohort.affiliate_id, decisions)
    return CohortItem(order_of(event), given, row.commission_minor, row.margin_minor)


async def _true_up(
    session: Session, cohort: Cohort, total: CohortTotal, told: Mapping[str, Any], now: datetime
) -> list[FinanceAct]:
    posted_commission, posted_margin = await sum_posted(session, "true_up", cohort)
    commission = total.target_commission_minor - total.standing_commission_minor - posted_commission
    margin = total.target_margin_minor - total.standing_margin_minor - posted_margin
    if not commission and not margin:
        return []
    inputs = {
        **told,
        "affiliate_id": cohort.affiliate_id,
        "target_commission_minor": total.target_commission_minor,
        "target_margin_minor": total.target_margin_minor,
        "standing_commission_minor": total.standing_commission_minor,
        "standing_margin_minor": total.standing_margin_minor,
        "posted_commission_minor": posted_commission,
        "posted_margin_minor": posted_margin,
        "posts_commission_minor": commission,
        "posts_margin_minor": margin,
    }
    return [FinanceAct(new_id(), "true_up", inputs, "rule:month_end", now, "tier_reached")]


async def _second_level(
    session: Session, cohort: Cohort, target: int, told: Mapping[str, Any], now: datetime
) -> list[FinanceAct]:
    key = affiliate_key(cohort.affiliate_id)
    payload = (await find_projected(session, [key])).get(key)
    affiliate = None if payload is None else CATALOGUE_DECODER.decode(payload)
    if not isinstance(affiliate, AffiliateChangedV1) or affiliate.referred_by is None:
        return []
    posted, _ = await sum_posted(session, "referral", cohort)
    if target == posted:
        return []
    inputs = {
        **told,
        "affiliate_id": affiliate.referred_by,
        "referred_id": cohort.affiliate_id,
        "target_commission_minor": target,
        "posted_commission_minor": posted,
        "posts_commission_minor": target - posted,
    }
    return [FinanceAct(new_id(), "referral", inputs, "rule:month_end", now, "second_level")]
