"""Keep each prepaid balance up to date with the ledger, and tell when it goes past a mark."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial

from services.commissions.domain.prefunding import Prefunding, PrefundingState, state_of
from services.commissions.storage.prefunding_store import (
    head_block,
    list_prefundings,
    lock_prefunding,
    lock_prefundings,
    save_prefundings,
    sum_merchants,
)
from services.commissions.usecases.record_payment import require_merchant
from shared.contracts.catalogue import MoneyV1
from shared.contracts.commissions import PrefundingChangedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import COMMISSIONS
from shared.kernel.clock import Clock
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.runtime.database import Session, after_commit
from shared.runtime.metrics import gauge
from shared.runtime.outbox import OutgoingEvent, append

Versioned = tuple[Prefunding, int]

_balances = gauge(
    "prefunding", unit="balances", meaning="Prepaid balances that are watched, by how they stand", labels=["balance"]
)


async def watch_prefunding(session: Session, clock: Clock) -> int:
    """One step of a sweep: add what was posted since the last one; gives how many balances went past a mark."""
    locked = await lock_prefundings(session)
    if not locked:
        return 0
    head = await head_block(session)
    if all(each.block_number == head for each, _ in locked):
        return 0
    moved = await _moved(session, locked, until=head)
    now, saved, told = clock.now(), [], []
    for (before, version), minor in zip(locked, moved, strict=True):
        available = before.available_minor + minor
        state = state_of(available, low_balance_minor=before.low_balance_minor)
        after = replace(before, available_minor=available, state=state, block_number=head, changed_at=now)
        changed = state != before.state
        saved.append((after, version + changed))
        if changed:
            told.append((after, version + 1))
    await save_prefundings(session, saved)
    await _tell(session, told)
    everybody = [each for each, _ in await list_prefundings(session)]
    after_commit(session, partial(_show, everybody))
    return len(told)


async def change_prefunding(
    session: Session, merchant_id: int, currency: str, *, low_balance_minor: int, pauses_at_zero: bool, now: datetime
) -> tuple[Prefunding | None, Prefunding]:
    """Store what a merchant chose for a currency, told at once; gives it before and after. Raises MerchantUnknown."""
    await require_merchant(session, merchant_id)
    found = await lock_prefunding(session, merchant_id, currency)
    before, version = (None, 0) if found is None else found
    head = await head_block(session)
    sums = await sum_merchants(session, merchant_id=merchant_id, until_block=head)
    available = next((each.available_minor for each in sums if each.currency == currency), 0)
    after = Prefunding(
        merchant_id=merchant_id,
        currency=currency,
        low_balance_minor=low_balance_minor,
        pauses_at_zero=pauses_at_zero,
        state=state_of(available, low_balance_minor=low_balance_minor),
        available_minor=available,
        block_number=head,
        changed_at=now,
    )
    await save_prefundings(session, [(after, version + 1)])
    await _tell(session, [(after, version + 1)])
    return before, after


async def _moved(session: Session, locked: Sequence[Versioned], *, until: int) -> list[int]:
    """What each balance gained since its own block. Rows are kept at one block, but for those just made."""
    by_block: dict[int, dict[tuple[int, str], int]] = {}
    for each, _ in locked:
        if each.block_number not in by_block:
            sums = await sum_merchants(session, after_block=each.block_number, until_block=until)
            by_block[each.block_number] = {(s.merchant_id, s.currency): s.available_minor for s in sums}
    return [by_block[each.block_number].get((each.merchant_id, each.currency), 0) for each, _ in locked]


async def _tell(session: Session, changed: Iterable[Versioned]) -> None:
    events = [
        PrefundingChangedV1(
            event_id=new_id(),
            occurred_at=each.changed_at,
            merchant_id=each.merchant_id,
            currency=each.currency,
            state=each.state.value,
            pauses_offers=each.pauses_at_zero,
            available=MoneyV1(amount_minor=each.available_minor, currency=each.currency),
            block_number=each.block_number,
            version=version,
        )
        for each, version in changed
    ]
    keyed = [(f"merchant:{event.merchant_id}:{event.currency}", event) for event in events]
    await append(
        session, [OutgoingEvent(COMMISSIONS, key.encode(), event.event_id, encode_event(event)) for key, event in keyed]
    )


def _show(everybody: Sequence[Prefunding]) -> None:
    for state in PrefundingState:
        _balances.labels(state.value).set(sum(each.state is state for each in everybody))


def available_of(prefunding: Prefunding) -> Money:
    """What the merchant may still spend; below zero it owes."""
    return Money(prefunding.available_minor, prefunding.currency)
