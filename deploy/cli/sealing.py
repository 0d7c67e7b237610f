"""Postback secrets and the sealing keys: how many a key still seals, and sealing all of them anew."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from deploy.cli.place import database_as
from deploy.cli.progress import Progress
from services.conversions.storage.credential_store import count_sealed_with
from services.conversions.usecases.audited import credentials_resealed_act
from services.conversions.usecases.reseal_credentials import reseal_batch
from shared.runtime.audit import Author, record_act
from shared.runtime.clock import SystemClock
from shared.runtime.keyring import Keyring


@dataclass(frozen=True, slots=True)
class Resealed:
    """What came of it. unreadable: ids of credentials whose seal does not open."""

    resealed: int
    unreadable: Sequence[UUID]


async def count_sealed(key_id: int) -> int:
    """Valid postback secrets that only this key opens."""
    async with database_as("conversions", "staff") as database, database.transaction() as session:
        return await count_sealed_with(session, key_id, SystemClock().now())


async def reseal_all(keyring: Keyring) -> Resealed:
    """Seal anew, one transaction a batch, until none is left that another key sealed."""
    resealed: list[UUID] = []
    unreadable: list[UUID] = []
    after_id: UUID | None = None
    async with database_as("conversions", "staff") as database:
        with Progress("resealed") as progress:
            while True:
                now = SystemClock().now()
                async with database.transaction() as session:
                    batch = await reseal_batch(session, keyring, after_id=after_id, now=now)
                    if batch.resealed:
                        act = credentials_resealed_act(keyring.signing.id, batch.resealed)
                        await record_act(session, Author.operator("tributary keyring reseal"), act, now=now)
                if batch.last_id is None:
                    return Resealed(len(resealed), unreadable)
                after_id = batch.last_id
                resealed.extend(batch.resealed)
                unreadable.extend(batch.unreadable)
                progress.show(len(resealed))
