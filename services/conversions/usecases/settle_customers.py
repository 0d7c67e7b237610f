"""Whose customers ordered: who gets an order that no click credits, and who owns a customer from now on.

The first credited order of a (merchant, offer, customer) makes its affiliate the owner; first recorded means first.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from services.conversions.domain.attribution import Verdict, attribute
from services.conversions.domain.catalogue import Catalogue, OfferVersion
from services.conversions.domain.conversion import Conversion, with_verdict
from services.conversions.domain.ownership import Owner
from services.conversions.domain.transitions import Status
from services.conversions.storage.conversion_store import ConversionKey, find_keys, find_offer_version_payloads
from services.conversions.storage.ownership_store import (
    CustomerKey,
    OwnershipRow,
    claim_customers,
    find_ownerships,
)
from services.conversions.usecases.learn_catalogue import learn_catalogue
from shared.contracts.catalogue import offer_version_key
from shared.kernel.click_id import Click
from shared.runtime.database import Session

_UNDECIDED = frozenset({Status.UNATTRIBUTED, Status.REJECTED})


class OwnershipOutrun(Exception):
    """Another transaction recorded the very order that was to make an affiliate own its customer: try once more."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A conversion with the verdict that its click alone gives it, not recorded yet.

    click, version: as the verdict was made of; None without. is_new: its key may turn out to be taken.
    """

    conversion: Conversion
    verdict: Verdict
    click: Click | None
    version: OfferVersion | None
    is_new: bool = False

    @property
    def may_claim(self) -> bool:
        """True where it makes its affiliate own the customer, if nobody does."""
        return self.conversion.status is Status.PENDING and self.version is not None and self.version.is_recurring

    @property
    def asks(self) -> bool:
        """True where its customer decides something: the hot path's one look at orders without a customer."""
        return self.conversion.customer_id is not None and (self.may_claim or self.conversion.status in _UNDECIDED)

    @property
    def customer(self) -> CustomerKey:
        """Whom the owners are looked for by."""
        assert self.conversion.customer_id is not None
        return self.conversion.merchant_id, self.conversion.customer_id


async def settle_customers(session: Session, candidates: Sequence[Candidate]) -> tuple[list[Candidate], set[UUID]]:
    """The candidates, in their order, with their customers' owners taken into account; and who became one.

    The conversions that became first orders must be recorded in this transaction.
    """
    asking = [candidate for candidate in candidates if candidate.asks]
    if not asking:
        return list(candidates), set()
    taken = await _taken_keys(session, asking)
    asking = [candidate for candidate in asking if _key(candidate) not in taken]
    if not asking:
        return list(candidates), set()
    desk = _OwnerDesk(asking)
    await desk.read(session, {candidate.customer for candidate in asking})
    while claims := desk.claims():
        await desk.claim(session, claims)
    settled = {candidate.conversion.id: candidate for candidate in desk.settled()}
    return [settled.get(candidate.conversion.id, candidate) for candidate in candidates], desk.claimed


async def settle_released(session: Session, released: Conversion) -> Conversion:
    """A conversion that an admin lets count: the first order of its customer, where nobody owns that yet."""
    if released.customer_id is None or released.offer_id is None or released.offer_version is None:
        return released
    catalogue, key = Catalogue(), offer_version_key(released.offer_id, released.offer_version)
    for payload in (await find_offer_version_payloads(session, [key])).values():
        learn_catalogue(catalogue, payload)
    version = catalogue.find_version(released.offer_id, released.offer_version)
    verdict = Verdict(released.status, released.outcome, released.attributed_by, released.approve_at, ())
    (settled,), _ = await settle_customers(session, [Candidate(released, verdict, None, version)])
    return settled.conversion


async def _taken_keys(session: Session, asking: Sequence[Candidate]) -> set[ConversionKey]:
    """Keys of orders recorded before: what repeats them is first in nothing."""
    new = {_key(candidate) for candidate in asking if candidate.is_new}
    return await find_keys(session, new) if new else set()


def _key(candidate: Candidate) -> ConversionKey:
    conversion = candidate.conversion
    return conversion.merchant_id, conversion.event, conversion.dedupe_key


class _OwnerDesk:
    """What is known of the customers at hand, while one transaction settles them. asking: in the order of arrival."""

    def __init__(self, asking: Sequence[Candidate]) -> None:
        self.claimed: set[UUID] = set()
        self._asking = asking
        self._places = {candidate.conversion.id: place for place, candidate in enumerate(asking)}
        self._owners: dict[CustomerKey, dict[int, tuple[UUID, Owner]]] = {}
        self._unowned: set[tuple[CustomerKey, int]] = set()
        self._erased: set[CustomerKey] = set()
        self._versions = Catalogue()
        for candidate in asking:
            if candidate.version is not None:
                self._versions.put_version(candidate.version)

    async def read(self, session: Session, customers: set[CustomerKey]) -> None:
        """Read these customers' owners, and the offer versions they own them under."""
        rows, erased = await find_ownerships(session, customers)
        self._erased |= erased
        unknown = {
            offer_version_key(row.offer_id, row.offer_version)
            for row in rows
            if self._versions.find_version(row.offer_id, row.offer_version) is None
        }
        if unknown:
            for payload in (await find_offer_version_payloads(session, unknown)).values():
                learn_catalogue(self._versions, payload)
        for row in rows:
            self._put(row)

    def claims(self) -> list[OwnershipRow]:
        """First orders of customers whom nobody owns yet."""
        claims: dict[tuple[CustomerKey, int], OwnershipRow] = {}
        for candidate in self._asking:
            version = candidate.version
            if version is None or not candidate.may_claim or candidate.customer in self._erased:
                continue
            place = (candidate.customer, version.offer_id)
            if version.offer_id not in self._owners.get(candidate.customer, {}) and place not in self._unowned:
                claims.setdefault(place, _ownership(candidate, version))
        return list(claims.values())

    async def claim(self, session: Session, claims: Sequence[OwnershipRow]) -> None:
        """Claim; where another transaction was first, know its owner instead."""
        won = await claim_customers(session, claims)
        self.claimed |= won
        lost = set()
        for row in claims:
            if row.conversion_id in won:
                self._put(row)
            else:
                lost.add((row.merchant_id, row.customer_id))
                self._unowned.add(((row.merchant_id, row.customer_id), row.offer_id))
        if lost:
            await self.read(session, lost)

    def settled(self) -> list[Candidate]:
        """Each with what its customer's owners make of it: those that came before it, itself included."""
        return [self._settle(candidate, place) for place, candidate in enumerate(self._asking)]

    def _settle(self, candidate: Candidate, place: int) -> Candidate:
        owners = {
            offer_id: owner
            for offer_id, (first, owner) in self._owners.get(candidate.customer, {}).items()
            if self._places.get(first, -1) <= place
        }
        conversion = candidate.conversion
        if candidate.may_claim and candidate.version is not None:
            owner = owners.get(candidate.version.offer_id)
            first_at = None if owner is None else owner.first_at
            return replace(candidate, conversion=replace(conversion, customer_first_at=first_at))
        verdict = attribute(conversion.reported, candidate.click, candidate.version, list(owners.values()))
        return replace(candidate, conversion=with_verdict(conversion, verdict), verdict=verdict)

    def _put(self, row: OwnershipRow) -> None:
        version = self._versions.find_version(row.offer_id, row.offer_version)
        if version is not None:
            owner = Owner(affiliate_id=row.affiliate_id, version=version, first_at=row.first_at)
            self._owners.setdefault((row.merchant_id, row.customer_id), {})[row.offer_id] = (row.conversion_id, owner)


def _ownership(candidate: Candidate, version: OfferVersion) -> OwnershipRow:
    conversion = candidate.conversion
    merchant_id, customer_id = candidate.customer
    assert conversion.affiliate_id is not None
    return OwnershipRow(
        conversion_id=conversion.id,
        merchant_id=merchant_id,
        customer_id=customer_id,
        offer_id=version.offer_id,
        offer_version=version.version,
        affiliate_id=conversion.affiliate_id,
        first_at=conversion.first_received_at,
    )
