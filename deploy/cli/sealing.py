"""What the sealing keys seal, postback secrets and affiliates' bank details: how much a key still seals, and sealing
all of it anew."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final
from uuid import UUID

from deploy.cli.place import database_as
from deploy.cli.progress import Progress
from services.commissions.storage.payout_settings_store import count_details_sealed_with
from services.commissions.usecases.audited import details_resealed_act
from services.commissions.usecases.reseal_details import reseal_details_batch
from services.conversions.storage.credential_store import count_sealed_with
from services.conversions.usecases.audited import credentials_resealed_act
from services.conversions.usecases.reseal_credentials import reseal_batch
from shared.runtime.audit import Act, Author, record_act
from shared.runtime.clock import SystemClock
from shared.runtime.database import Session
from shared.runtime.keyring import Keyring

SECRETS: Final = "postback secret"
DETAILS: Final = "version of bank details"
PLURALS: Final = {SECRETS: "postback secrets", DETAILS: "versions of bank details"}


@dataclass(frozen=True, slots=True)
class Resealed:
    """What came of it. resealed: how many, by what they are. unreadable: ids of what does not open, by the same."""

    resealed: Mapping[str, int]
    unreadable: Mapping[str, Sequence[UUID]]


@dataclass(frozen=True, slots=True)
class _Batch:
    resealed: Sequence[UUID]
    unreadable: Sequence[UUID]
    last_id: UUID | None


Reseal = Callable[[Session, UUID | None, datetime], Awaitable[_Batch]]
ActOf = Callable[[int, Sequence[UUID]], Act]


async def count_sealed(key_id: int) -> Mapping[str, int]:
    """What only this key opens, by what it is: valid postback secrets, and every version of bank details."""
    async with database_as("conversions", "staff") as database, database.transaction() as session:
        secrets = await count_sealed_with(session, key_id, SystemClock().now())
    async with database_as("commissions", "staff") as database, database.transaction() as session:
        return {SECRETS: secrets, DETAILS: await count_details_sealed_with(session, key_id)}


async def reseal_all(keyring: Keyring) -> Resealed:
    """Seal anew, one transaction a batch, until none is left that another key sealed."""
    secrets = await _reseal("conversions", partial(_secrets, keyring), keyring, credentials_resealed_act)
    details = await _reseal("commissions", partial(_details, keyring), keyring, details_resealed_act)
    return Resealed(
        {SECRETS: len(secrets.resealed), DETAILS: len(details.resealed)},
        {SECRETS: secrets.unreadable, DETAILS: details.unreadable},
    )


async def _reseal(service: str, reseal: Reseal, keyring: Keyring, act_of: ActOf) -> _Batch:
    resealed: list[UUID] = []
    unreadable: list[UUID] = []
    after_id: UUID | None = None
    async with database_as(service, "staff") as database:
        with Progress("resealed") as progress:
            while True:
                now = SystemClock().now()
                async with database.transaction() as session:
                    batch = await reseal(session, after_id, now)
                    if batch.resealed:
                        act = act_of(keyring.signing.id, batch.resealed)
                        await record_act(session, Author.operator("tributary keyring reseal"), act, now=now)
                if batch.last_id is None:
                    return _Batch(resealed, unreadable, None)
                after_id = batch.last_id
                resealed.extend(batch.resealed)
                unreadable.extend(batch.unreadable)
                progress.show(len(resealed))


async def _secrets(keyring: Keyring, session: Session, after_id: UUID | None, now: datetime) -> _Batch:
    batch = await reseal_batch(session, keyring, after_id=after_id, now=now)
    return _Batch(batch.resealed, batch.unreadable, batch.last_id)


async def _details(keyring: Keyring, session: Session, after_id: UUID | None, now: datetime) -> _Batch:
    batch = await reseal_details_batch(session, keyring, after_id=after_id, now=now)
    return _Batch(batch.resealed, batch.unreadable, batch.last_id)
