"""Decide the exchange rate of a credit: once, on the day of its first credited version, for good (ADR 0014)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final
from uuid import UUID

import msgspec

from services.commissions.domain.catalogue import OfferVersion
from services.commissions.domain.commission import Standing
from services.commissions.domain.exchange_rates import RateBook
from services.commissions.domain.paid_currency import currency_to_convert, fixed_currencies
from services.commissions.domain.postings import CREDITED, CreditVersion
from services.commissions.storage.rate_decision_store import find_rate_decisions
from services.commissions.usecases.find_rate import load_rates
from services.commissions.usecases.write_posting import ConversionVersion
from shared.contracts.commissions import NO_DECISIONS, DecisionsV1, RateAwaitedV1, RateUsedV1
from shared.runtime.database import Session, after_commit
from shared.runtime.metrics import counter

RATE_MISSING: Final = "rate_missing"
"""Why a commission is held: it posts nothing, and its pair counts as no rate at all, never as 1."""

_holds = counter("rate_holds", unit="credits", meaning="Credits that were held, since no exchange rate was recorded")


@dataclass(slots=True)
class RateDecisions:
    """The rates of one batch. Empty, and without a statement, where no offer pays in a currency of its own.

    frozen: by conversion, what its first credited version was decided by. awaited: what it waits for.
    """

    days_max: int = 0
    book: RateBook = field(default_factory=RateBook)
    frozen: dict[UUID, RateUsedV1] = field(default_factory=dict)
    awaited: dict[UUID, RateAwaitedV1] = field(default_factory=dict)
    holds: int = 0

    @classmethod
    async def load(
        cls,
        session: Session,
        versions: Sequence[ConversionVersion],
        known: Mapping[tuple[int, int], OfferVersion],
        *,
        days_max: int,
    ) -> "RateDecisions":
        """Everything that `versions` may ask for, in two statements. Their conversions must be locked."""
        paying = {key: each for key, each in known.items() if each.pays_in is not None}
        if not paying:
            return cls()
        concerned = [each for each in versions if (each.event.offer_id, each.event.offer_version) in paying]
        decided = await find_rate_decisions(session, sorted({each.conversion_id for each in concerned}))
        frozen = {key: each.rate for key, each in decided.items() if each.rate is not None}
        awaited = {key: each.awaits for key, each in decided.items() if each.awaits is not None and key not in frozen}
        currencies, days = _asked(concerned, paying)
        for each in awaited.values():
            currencies |= {each.base, each.quote}
            days.add(date.fromisoformat(each.on))
        book = await load_rates(session, currencies=currencies, days=days, days_max=days_max)
        return cls(days_max, book, frozen, awaited)

    def decide(self, standing: Standing | None, version: CreditVersion) -> DecisionsV1:
        """The rate of `version`, frozen by the first credit; or what it waits for. Nothing where none is needed."""
        conversion_id = version.conversion_id
        if version.pays_in is None:
            return NO_DECISIONS
        if conversion_id in self.frozen:
            return DecisionsV1(rate=self.frozen[conversion_id])
        if version.status not in CREDITED:
            return NO_DECISIONS
        if conversion_id in self.awaited:
            return DecisionsV1(held=RATE_MISSING, awaits=self.awaited[conversion_id])
        base = None if version.term is None else currency_to_convert(version.term, version.net, version.pays_in)
        if base is None or standing is not None:
            return NO_DECISIONS
        on = version.occurred_at.date().isoformat()
        return self._settle(conversion_id, RateAwaitedV1(base=base, quote=version.pays_in, on=on))

    def release(self, version: CreditVersion, last: DecisionsV1) -> DecisionsV1:
        """`last`, with the rate that it waited for if there is one by now, of the day that it waited for."""
        if last.held != RATE_MISSING or last.awaits is None:
            return last
        found = self._settle(version.conversion_id, last.awaits)
        return msgspec.structs.replace(last, rate=found.rate, held=found.held, awaits=found.awaits)

    async def save(self, session: Session) -> None:
        """Count what is held, once it is."""
        if holds := self.holds:
            after_commit(session, lambda: _holds.inc(holds))

    def _settle(self, conversion_id: UUID, wanted: RateAwaitedV1) -> DecisionsV1:
        found = self.book.find(wanted.base, wanted.quote, date.fromisoformat(wanted.on), days_max=self.days_max)
        if found is None:
            self.holds += conversion_id not in self.awaited
            self.awaited[conversion_id] = wanted
            return DecisionsV1(held=RATE_MISSING, awaits=wanted)
        self.awaited.pop(conversion_id, None)
        self.frozen[conversion_id] = found.used
        return DecisionsV1(rate=found.used)


def _asked(
    versions: Sequence[ConversionVersion], paying: Mapping[tuple[int, int], OfferVersion]
) -> tuple[set[str], set[date]]:
    """Currencies and days that the versions may need rates of."""
    currencies: set[str] = set()
    days: set[date] = set()
    for each in versions:
        offer_version = paying[each.event.offer_id or 0, each.event.offer_version or 0]
        priced = offer_version.terms.get(each.event.conversion_event)
        if priced is None or offer_version.pays_in is None:
            continue
        currencies |= {offer_version.pays_in, *fixed_currencies(priced.term)}
        currencies |= set() if each.event.net_amount is None else {each.event.net_amount.currency}
        days.add(each.event.occurred_at.date())
    return currencies, days
