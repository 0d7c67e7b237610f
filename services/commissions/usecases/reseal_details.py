"""Seal affiliates' bank details anew under the key that seals now, so that an older sealing key can be retired."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from services.commissions.storage.payout_settings_store import list_sealed_otherwise, store_sealed_details
from shared.runtime.database import Session
from shared.runtime.keyring import Keyring
from shared.runtime.sealing import SealBroken, seal, unseal

BATCH: Final = 200
"""Rows locked at a time."""


@dataclass(frozen=True, slots=True)
class ResealedBatch:
    """Which versions of settings were sealed anew, and whose seal does not open. last_id: None when all are done."""

    resealed: tuple[UUID, ...]
    unreadable: tuple[UUID, ...]
    last_id: UUID | None


async def reseal_details_batch(
    session: Session, keyring: Keyring, *, after_id: UUID | None, now: datetime
) -> ResealedBatch:
    """Reseal the next BATCH versions above `after_id` that another key than the signing one sealed.

    Under each row's lock, in the caller's transaction; may be stopped and started again at any point. Old versions
    too: files of old runs are written from them. One that does not open stays as it is.
    """
    rows = await list_sealed_otherwise(session, keyring.signing.id, after_id=after_id, limit=BATCH)
    resealed, unreadable = [], []
    for row in rows:
        try:
            details = unseal(keyring, row.sealed_details, owner=row.settings_id, now=now)
        except SealBroken:
            unreadable.append(row.settings_id)
            continue
        await store_sealed_details(session, row.settings_id, seal(keyring, details, owner=row.settings_id))
        resealed.append(row.settings_id)
    return ResealedBatch(tuple(resealed), tuple(unreadable), rows[-1].settings_id if rows else None)
