"""Seal stored secrets anew under the key that seals now, so that an older sealing key can be retired."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from services.conversions.storage.credential_store import list_sealed_otherwise, store_sealed_secret
from shared.runtime.database import Session
from shared.runtime.keyring import Keyring
from shared.runtime.sealing import SealBroken, seal, unseal

BATCH: Final = 200
"""Rows locked at a time: a merchant who rotates a credential meanwhile waits for no more than these."""


@dataclass(frozen=True, slots=True)
class ResealedBatch:
    """Which credentials were sealed anew, and whose seal does not open. last_id: None when all are done."""

    resealed: tuple[UUID, ...]
    unreadable: tuple[UUID, ...]
    last_id: UUID | None


async def reseal_batch(session: Session, keyring: Keyring, *, after_id: UUID | None, now: datetime) -> ResealedBatch:
    """Reseal the next BATCH credentials above `after_id` that another key than the signing one sealed.

    Under each row's lock, in the caller's transaction; what is sealed with the signing key already is passed over, so
    it may be stopped and started again at any point. Ended credentials too. One that does not open stays as it is.
    The secrets themselves do not change: no door has to read them again.
    """
    rows = await list_sealed_otherwise(session, keyring.signing.id, after_id=after_id, limit=BATCH)
    resealed, unreadable = [], []
    for row in rows:
        try:
            secret = unseal(keyring, row.sealed_secret, owner=row.id, now=now)
        except SealBroken:
            unreadable.append(row.id)
            continue
        await store_sealed_secret(session, row.id, seal(keyring, secret, owner=row.id))
        resealed.append(row.id)
    return ResealedBatch(tuple(resealed), tuple(unreadable), rows[-1].id if rows else None)
