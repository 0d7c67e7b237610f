"""Finance releases what is withheld: a step of its own, between two versions of the conversion."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from services.commissions.domain.commission import Standing
from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.domain.postings import Release, apply_release, is_withheld
from services.commissions.storage.commission_store import find_standings, lock_conversions
from services.commissions.storage.release_store import LastStep, find_conversion_id, find_last_steps
from services.commissions.usecases.apply_conversions import credit_version
from services.commissions.usecases.decide_credit import CreditDecisions
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.read_commissions import CommissionNotFound
from services.commissions.usecases.write_posting import AppliedVersion, ConversionVersion, write_posting
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import CONVERSIONS_DECODER
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id
from shared.runtime.audit import Act, state_hash
from shared.runtime.database import Session

RELEASES_MAX: Final = 1_000
"""Of one version: far more than anybody needs, and their number has two bytes."""


class NothingWithheld(TributaryError):
    """The commission waits for nobody."""

    code = "nothing_withheld"


class StillHeld(TributaryError):
    """What it was held for is missing still, such as an exchange rate."""

    code = "still_held"


@dataclass(frozen=True, slots=True)
class Released:
    """What stood before a release, and what stands after it."""

    before: Standing
    after: Standing


@dataclass(slots=True)
class Releases:
    """What came of many. still_held: what they were held for is missing yet. not_withheld: they wait for nobody."""

    released: dict[UUID, Released] = field(default_factory=dict)
    still_held: list[UUID] = field(default_factory=list)
    not_withheld: list[UUID] = field(default_factory=list)


def release_act(object_type: str, object_id: object, released: Mapping[UUID, Released]) -> Act:
    """All of it as one act of the audit chain."""
    before = {str(key): _state(each.before) for key, each in sorted(released.items())}
    after = {str(key): _state(each.after) for key, each in sorted(released.items())}
    return Act(object_type, str(object_id), state_hash(before), state_hash(after))


async def release_commission(session: Session, commission_id: UUID, **how: Any) -> Released:
    """Release one. how: as of release_commissions. Raises CommissionNotFound, NothingWithheld, StillHeld."""
    conversion_id = await find_conversion_id(session, commission_id)
    if conversion_id is None:
        raise CommissionNotFound("no such commission")
    done = await release_commissions(session, {commission_id: conversion_id}, **how)
    if done.still_held:
        raise StillHeld("what it was held for is missing still")
    if not done.released:
        raise NothingWithheld("nothing of the commission is withheld")
    return done.released[commission_id]


async def release_commissions(
    session: Session,
    conversions: Mapping[UUID, UUID],
    *,
    offer_versions: OfferVersions,
    actor: str,
    reason_code: str,
    now: datetime,
    rate_days_max: int = RATE_DAYS_MAX,
) -> Releases:
    """Post what caps refused, and what was held and can be priced by now: all in one posting.

    conversions: by commission. What was recorded first asks its caps first. What is decided is stored with the step, so
    that replay and recompute repeat it. actor: `key:<id>`. Locks the conversions, then their caps, then the block.
    """
    done, ids = Releases(), {conversion_id: commission_id for commission_id, conversion_id in conversions.items()}
    await lock_conversions(session, ids)
    standings = await find_standings(session, sorted(ids))
    withheld = {key: standing for key, standing in standings.items() if is_withheld(standing)}
    steps = [step for step in await find_last_steps(session, sorted(withheld)) if step.n < RELEASES_MAX]
    done.not_withheld += [ids[each] for each in sorted(ids.keys() - {step.conversion_id for step in steps})]
    versions = [ConversionVersion(CONVERSIONS_DECODER.decode(step.payload), step.payload) for step in steps]
    known = {}
    for key in {standing.attribution[1:] for standing in withheld.values()}:
        if (offer_version := await offer_versions.find_stored(session, key)) is not None:
            known[key] = offer_version
    asked = await CreditDecisions.load(session, versions, known, withheld, rate_days_max=rate_days_max)
    applied: list[AppliedVersion] = []
    for step, version in zip(steps, versions, strict=True):
        before = withheld[step.conversion_id]
        offer_version = known.get(before.attribution[1:])
        credit = credit_version(version, offer_version)
        decisions = asked.release(before, credit, msgspec.json.decode(step.decisions, type=DecisionsV1))
        if decisions.held is not None:
            done.still_held.append(ids[step.conversion_id])
            continue
        release = _release(step, version, actor=actor, reason_code=reason_code, now=now)
        outcome = apply_release(before, credit, release, decisions)
        assert outcome.standing is not None, "a release leaves something standing"
        asked.settle(before, outcome.standing)
        done.released[ids[step.conversion_id]] = Released(before, outcome.standing)
        priced = None if offer_version is None else offer_version.terms.get(version.event.conversion_event)
        term = None if priced is None else priced.source
        applied.append(AppliedVersion(version, before, outcome, term, decisions, release))
    await asked.save(session)
    await write_posting(session, applied, now=now)
    return done


def _release(step: LastStep, version: ConversionVersion, *, actor: str, reason_code: str, now: datetime) -> Release:
    number = step.n + 1
    return Release(derived_id(version.event.event_id, f"release {number}"), number, actor, now, reason_code)


def _state(standing: Standing) -> Mapping[str, Any]:
    return {
        "status": standing.status.value,
        "currency": standing.commission.currency,
        "commission_minor": standing.commission.amount_minor,
        "margin_minor": standing.margin.amount_minor,
        "grants": [[grant.key, grant.is_granted, grant.is_released] for grant in standing.grants],
    }
