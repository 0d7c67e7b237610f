"""Record bundles of valid clicks, each once: conversions that no postback reported and no receipt answers."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from services.conversions.domain.bundle import EVENT_CLICK, Bundle, judge_bundle
from services.conversions.domain.catalogue import Catalogue
from services.conversions.domain.conversion import Actor, Change, Conversion
from services.conversions.domain.facts import Facts
from services.conversions.storage.bundle_store import insert_bundle_conversions
from services.conversions.storage.conversion_store import find_offer_version_payloads, insert_versions
from services.conversions.usecases.count_versions import count_versions
from services.conversions.usecases.learn_catalogue import learn_catalogue
from services.conversions.usecases.record_changes import outgoing_event
from shared.contracts.catalogue import offer_version_key
from shared.kernel.ids import new_id
from shared.runtime.database import Session
from shared.runtime.outbox import append

_RULE = Actor("rule", "billable_clicks")


async def record_bundles(session: Session, bundles: Sequence[Bundle], now: datetime) -> int:
    """Record those that are new; gives how many were. Idempotent by offer version, affiliate, hour and part."""
    catalogue = Catalogue()
    keys = {offer_version_key(bundle.offer_id, bundle.offer_version) for bundle in bundles}
    for payload in (await find_offer_version_payloads(session, keys)).values():
        learn_catalogue(catalogue, payload)
    firsts: dict[tuple[int, str], Change] = {}
    for bundle in bundles:
        firsts.setdefault((bundle.merchant_id, bundle.dedupe_key), _first(bundle, catalogue, now))
    ordered = [firsts[key] for key in sorted(firsts)]
    created = await insert_bundle_conversions(session, [change.after for change in ordered])
    changes = [change for change in ordered if change.after.id in created]
    if changes:
        await insert_versions(session, changes)
        await append(session, [outgoing_event(change) for change in changes])
        states = [change.after for change in changes]
        count_versions(session, states, decided=states)
    return len(changes)


def _first(bundle: Bundle, catalogue: Catalogue, now: datetime) -> Change:
    version = catalogue.find_version(bundle.offer_id, bundle.offer_version)
    verdict = judge_bundle(
        merchant_id=bundle.merchant_id, quantity=bundle.quantity, received_at=bundle.settled_at, version=version
    )
    content = hashlib.sha256(f"{bundle.dedupe_key}:{bundle.quantity}".encode("ascii")).digest()
    state = Conversion(
        id=new_id(),
        merchant_id=bundle.merchant_id,
        event=EVENT_CLICK,
        dedupe_key=bundle.dedupe_key,
        version=1,
        status=verdict.status,
        outcome=verdict.outcome,
        first_received_at=bundle.settled_at,
        first_receipt_id=bundle.event_id,
        first_outcome=verdict.outcome,
        first_status=verdict.status,
        content_hash=content,
        clickless_hash=content,
        changed_at=max(now, bundle.settled_at),
        clicked_at=bundle.hour_at,
        offer_id=bundle.offer_id,
        offer_version=bundle.offer_version,
        affiliate_id=bundle.affiliate_id,
        attributed_by=verdict.attributed_by,
        approve_at=verdict.approve_at,
        facts=Facts(quantity=bundle.quantity),
    )
    return Change(state, "recorded", _RULE, steps=verdict.steps)
