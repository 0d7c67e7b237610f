"""The control plane's writes as acts of the audit chain: which state of each thing the hashes vouch for.

A state holds what decides. Left out: names of parties and labels of keys, which may be people's; secrets and their
hashes; and a thing's mere times of change.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from services.gateway.domain.api_keys import ApiKey
from services.gateway.domain.enrolments import Enrolment
from services.gateway.domain.offers import Offer, OfferVersion
from services.gateway.domain.parties import Affiliate, Merchant
from services.gateway.domain.terms import Term
from services.gateway.storage.term_codec import wire_cap, wire_term
from shared.kernel.changed import Changed
from shared.kernel.money import Money
from shared.runtime.audit import Act, state_hash


def merchant_act(before: Merchant | None, after: Merchant) -> Act:
    """A merchant was taken in, or changed."""
    return Act.of("merchant", after.merchant_id, _merchant_state, before, after)


def affiliate_act(before: Affiliate | None, after: Affiliate) -> Act:
    """An affiliate was taken in, or changed."""
    return Act.of("affiliate", after.affiliate_id, _affiliate_state, before, after)


def offer_act(before: tuple[Offer, OfferVersion] | None, after: tuple[Offer, OfferVersion]) -> Act:
    """An offer was opened, changed its status, or got a version. Each offer with its current version."""
    return Act.of("offer", after[0].offer_id, _offer_state, before, after)


def enrolment_act(change: Changed[Enrolment]) -> Act:
    """An affiliate applied or was enrolled, or that was decided or ended."""
    return Act.of("enrolment", change.after.enrolment_id, _enrolment_state, change.before, change.after)


def key_issued_act(key: ApiKey) -> Act:
    """A key was issued."""
    return Act.of("key", key.key_id, _key_state, None, key)


def key_rotated_act(old: ApiKey, new: ApiKey) -> Act:
    """`old` got an end, and `new` in its place. One act, of the old key; the state after it holds both."""
    before = state_hash(_key_state(replace(old, expires_at=None)))
    after = state_hash({"old": _key_state(old), "new": _key_state(new)})
    return Act("key", old.key_id, before, after)


def key_revoked_act(change: Changed[ApiKey]) -> Act:
    """A key was ended."""
    return Act.of("key", change.after.key_id, _key_state, change.before, change.after)


def _merchant_state(merchant: Merchant) -> Mapping[str, Any]:
    return {"merchant_id": merchant.merchant_id, "status": merchant.status}


def _affiliate_state(affiliate: Affiliate) -> Mapping[str, Any]:
    state: dict[str, Any] = {"affiliate_id": affiliate.affiliate_id, "status": affiliate.status}
    if affiliate.referred_by is not None:
        state["referred_by"] = affiliate.referred_by
    if affiliate.groups:
        state["groups"] = {g.name: [(i.start_at, i.end_at) for i in g.intervals] for g in affiliate.groups}
    return state


def _offer_state(versioned: tuple[Offer, OfferVersion]) -> Mapping[str, Any]:
    offer, version = versioned
    content = version.content
    state = {
        "offer_id": offer.offer_id,
        "merchant_id": offer.merchant_id,
        "name": offer.name,
        "status": offer.status,
        "current_version": offer.current_version,
        "fallback_url": offer.fallback_url,
        "landing_template": content.landing_template,
        "allowed_hosts": content.allowed_hosts,
        "window_min_seconds": content.window_min_seconds,
        "window_max_seconds": content.window_max_seconds,
        "late_hours": content.late_hours,
        "validation_days": content.validation_days,
        "hold_days": content.hold_days,
        "click_id_parameter": content.click_id_parameter,
        "referrer_policy": content.referrer_policy,
        "terms": [_term_state(term) for term in content.terms],
    }
    if content.caps:
        state["caps"] = [msgspec.to_builtins(wire_cap(cap)) for cap in content.caps]
    if content.pays_in is not None:
        state["pays_in"] = content.pays_in
    return state


def _term_state(term: Term) -> Mapping[str, Any]:
    """A term's own rate, and of everything else what it names: states of simple terms keep their old hashes."""
    own = {
        "event": term.event,
        "kind": term.kind,
        "rate_percent": term.rate_percent,
        "margin_percent": term.margin_percent,
        "flat_amount": _money_state(term.flat_amount),
        "margin_amount": _money_state(term.margin_amount),
    }
    return {**msgspec.to_builtins(wire_term(term)), **own}


def _money_state(money: Money | None) -> tuple[int, str] | None:
    return None if money is None else (money.amount_minor, money.currency)


def _enrolment_state(enrolment: Enrolment) -> Mapping[str, Any]:
    return {
        "enrolment_id": enrolment.enrolment_id,
        "offer_id": enrolment.offer_id,
        "affiliate_id": enrolment.affiliate_id,
        "merchant_id": enrolment.merchant_id,
        "status": enrolment.status,
        "intervals": [(interval.start_at, interval.end_at) for interval in enrolment.intervals],
    }


def _key_state(key: ApiKey) -> Mapping[str, Any]:
    return {
        "key_id": key.key_id,
        "role": key.role,
        "merchant_id": key.merchant_id,
        "affiliate_id": key.affiliate_id,
        "replaces_key_id": key.replaces_key_id,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
