"""Apply conversions' versions to the ledger: strictly in order, once each, all of a batch in one posting."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from services.commissions.domain.catalogue import OfferVersion
from services.commissions.domain.commission import Standing
from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.domain.orders import NO_FACTS, facts_of
from services.commissions.domain.postings import CREDITED, Applied, CreditVersion, apply_version
from services.commissions.domain.terms import PricingImpossible, RichTerm
from services.commissions.storage.commission_store import (
    ParkedRow,
    find_applied_events,
    find_parked,
    find_standings,
    lock_conversions,
    replace_parked,
)
from services.commissions.usecases.decide_credit import CreditDecisions
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.write_posting import AppliedVersion, ConversionVersion, write_posting
from shared.contracts.catalogue import MoneyV1
from shared.contracts.commissions import NO_DECISIONS
from shared.contracts.conversions import CONVERSIONS_DECODER, ConversionChangedV1
from shared.kernel.clock import Clock
from shared.kernel.errors import TributaryError
from shared.kernel.money import Money
from shared.runtime.database import Session


class VersionContradicted(TributaryError):
    """Another event under a version that is applied or waits: its producer has lost what it once told."""

    code = "version_contradicted"


@dataclass(slots=True)
class _Batch:
    applied: list[AppliedVersion] = field(default_factory=list)
    parked: list[ParkedRow] = field(default_factory=list)
    standings: dict[UUID, Standing | None] = field(default_factory=dict)
    decisions: CreditDecisions = field(default_factory=CreditDecisions)


async def apply_conversions(
    session: Session,
    arriving: Sequence[ConversionVersion],
    *,
    offer_versions: OfferVersions,
    clock: Clock,
    again: Iterable[UUID] = (),
    rate_days_max: int = RATE_DAYS_MAX,
) -> int:
    """Apply what is next for each conversion, park what must wait; gives how many ledger transactions were posted.

    arriving: in any order, with repeats: a version that was applied before changes nothing. again: conversions whose
    parked versions may go on now. A version waits while the one before it, or its offer version, is missing. One that
    waited and turns out never to be applicable stays parked as `refused`, so that what released it is not blamed.
    All of it in the caller's transaction: one posting, one block; nothing posted, no block.
    Raises: PricingImpossible, TransitionRefused, VersionContradicted for an arriving version that can never be applied.
    """
    conversion_ids = sorted({version.conversion_id for version in arriving} | set(again))
    if not conversion_ids:
        return 0
    needed = _offer_versions_of([*arriving, *await _find_waiting(session, conversion_ids)])
    known = await offer_versions.find(session, needed)
    last_versions = await lock_conversions(session, conversion_ids)
    waiting = await _find_waiting(session, conversion_ids)
    await _refuse_contradictions(session, arriving, last_versions)
    standings = await find_standings(session, conversion_ids)
    decisions = await CreditDecisions.load(
        session, [*waiting, *arriving], known, standings, rate_days_max=rate_days_max
    )
    batch = _Batch(standings={**dict.fromkeys(conversion_ids), **standings}, decisions=decisions)
    for conversion_id, candidates in _by_conversion([*waiting, *arriving]).items():
        _apply_in_order(batch, last_versions[conversion_id], candidates, known)
    still_waiting = {(row.conversion_id, row.version) for row in batch.parked}
    done = [key for each in waiting if (key := (each.conversion_id, each.event.version)) not in still_waiting]
    now = clock.now()
    await decisions.save(session)
    await replace_parked(session, done=done, parked=batch.parked, now=now)
    return await write_posting(session, batch.applied, now=now)


async def _refuse_contradictions(
    session: Session, arriving: Sequence[ConversionVersion], last_versions: Mapping[UUID, int]
) -> None:
    """A version that comes again is the same event again; anything else must not pass for it in silence (I7)."""
    again = [each for each in arriving if each.event.version <= last_versions[each.conversion_id]]
    applied = await find_applied_events(session, [(each.conversion_id, each.event.version) for each in again])
    for each in again:
        _require_same(each, applied.get((each.conversion_id, each.event.version)))


def _require_same(version: ConversionVersion, known_event_id: UUID | None) -> None:
    if known_event_id not in (None, version.event.event_id):
        raise VersionContradicted(f"version {version.event.version} is known by another event")


async def _find_waiting(session: Session, conversion_ids: Sequence[UUID]) -> list[ConversionVersion]:
    parked = await find_parked(session, conversion_ids)
    return [ConversionVersion(CONVERSIONS_DECODER.decode(row.payload), row.payload, has_waited=True) for row in parked]


def _offer_versions_of(versions: Iterable[ConversionVersion]) -> set[tuple[int, int]]:
    return {key for version in versions if (key := _offer_version_key(version.event)) is not None}


def _offer_version_key(event: ConversionChangedV1) -> tuple[int, int] | None:
    """The offer version of the click behind `event`; None where there is none."""
    if event.offer_id is None or event.offer_version is None:
        return None
    return event.offer_id, event.offer_version


def _by_conversion(versions: Iterable[ConversionVersion]) -> dict[UUID, dict[int, ConversionVersion]]:
    found: dict[UUID, dict[int, ConversionVersion]] = {}
    for version in versions:
        known = found.setdefault(version.conversion_id, {}).setdefault(version.event.version, version)
        _require_same(version, known.event.event_id)
    return dict(sorted(found.items(), key=_recorded_first))


def _recorded_first(candidate: tuple[UUID, dict[int, ConversionVersion]]) -> tuple[datetime, int]:
    """First recorded, first granted: also within a batch, whose conversions are locked in the order of their ids."""
    conversion_id, versions = candidate
    return versions[min(versions)].event.occurred_at, conversion_id.int


def _apply_in_order(
    batch: _Batch,
    last_version: int,
    candidates: Mapping[int, ConversionVersion],
    known: Mapping[tuple[int, int], OfferVersion],
) -> None:
    expected = last_version + 1
    is_blocked = False
    for number in sorted(each for each in candidates if each > last_version):
        version = candidates[number]
        key = _offer_version_key(version.event)
        if number != expected or is_blocked:
            batch.parked.append(_parked(version, "version_gap"))
            continue
        if version.event.status in CREDITED and key is not None and key not in known:
            is_blocked = True
            batch.parked.append(_parked(version, "offer_version_missing"))
            continue
        try:
            batch.applied.append(_apply(batch, version, None if key is None else known.get(key)))
        except TributaryError:
            if not version.has_waited:
                raise  # the event in hand is the culprit, and becomes the dead letter
            is_blocked = True
            batch.parked.append(_parked(version, "refused"))
        expected += 1


def _apply(batch: _Batch, version: ConversionVersion, offer_version: OfferVersion | None) -> AppliedVersion:
    before = batch.standings[version.conversion_id]
    event = version.event
    if before is None and event.status not in CREDITED:
        return AppliedVersion(version, None, Applied(None, ()), None, NO_DECISIONS)
    credit = credit_version(version, offer_version)
    decisions = batch.decisions.decide(before, credit)
    outcome = apply_version(before, credit, decisions)
    batch.decisions.settle(before, outcome.standing)
    batch.standings[version.conversion_id] = outcome.standing
    priced = None if offer_version is None else offer_version.terms.get(event.conversion_event)
    return AppliedVersion(version, before, outcome, None if priced is None else priced.source, decisions)


def credit_version(version: ConversionVersion, offer_version: OfferVersion | None) -> CreditVersion:
    """What a version says, with the term of its offer version. Raises PricingImpossible where it names no affiliate."""
    event = version.event
    if event.affiliate_id is None or event.offer_id is None or event.offer_version is None:
        raise PricingImpossible("a credited conversion names its affiliate and its offer version")
    priced = offer_version.terms.get(event.conversion_event) if offer_version is not None else None
    return CreditVersion(
        event_id=event.event_id,
        commission_id=version.commission_id,
        conversion_id=version.conversion_id,
        version=event.version,
        status=event.status,
        affiliate_id=event.affiliate_id,
        merchant_id=event.merchant_id,
        offer_id=event.offer_id,
        offer_version=event.offer_version,
        ordered=_money(event.order_amount),
        net=_money(event.net_amount),
        occurred_at=event.occurred_at,
        term=None if priced is None else priced.term,
        hold_days=0 if offer_version is None else offer_version.hold_days,
        reason_code=event.reason_code,
        pays_in=None if offer_version is None else offer_version.pays_in,
        caps=() if offer_version is None else offer_version.caps_on(event.conversion_event),
        quantity=event.quantity,
        facts=facts_of(event) if priced is not None and isinstance(priced.term, RichTerm) else NO_FACTS,
    )


def _parked(version: ConversionVersion, reason: str) -> ParkedRow:
    event = version.event
    return ParkedRow(version.conversion_id, event.version, version.payload, reason, event.offer_id, event.offer_version)


def _money(money: MoneyV1 | None) -> Money | None:
    return None if money is None else Money(money.amount_minor, money.currency)
