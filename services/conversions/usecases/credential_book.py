"""Every merchant's valid credentials in memory, so that the door asks nobody; survives a loss of the database."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_network
from typing import Final

from services.conversions.domain.signature import Credential
from services.conversions.storage.credential_store import CredentialRow, list_all_credentials, read_change_count
from shared.kernel.clock import Clock
from shared.runtime.backoff import Outage, pause
from shared.runtime.database import Database
from shared.runtime.keyring import Keyring
from shared.runtime.logging import get_logger
from shared.runtime.sealing import SealBroken, unseal

POLL_SECONDS: Final = 0.5
"""A new, rotated or revoked credential is known everywhere within a second."""

_log = get_logger(__name__)


class CredentialBook:
    """Credentials by merchant. database: as `conversions_intake`. Not ready until loaded once."""

    def __init__(self, database: Database, keyring: Keyring, clock: Clock) -> None:
        self._database = database
        self._keyring = keyring
        self._clock = clock
        self._by_merchant: dict[int, list[Credential]] = {}
        self._seen_count: int | None = None
        self._seen_keys: frozenset[int] = frozenset()
        self._stopping = asyncio.Event()
        self._outage = Outage("credential book")

    @property
    def is_ready(self) -> bool:
        """True once the credentials have been read."""
        return self._seen_count is not None

    def of_merchant(self, merchant_id: int) -> Sequence[Credential]:
        """A merchant's credentials; empty for an unknown one."""
        return self._by_merchant.get(merchant_id, ())

    def knows(self, merchant_id: int) -> bool:
        """True for a merchant with at least one credential."""
        return merchant_id in self._by_merchant

    async def refresh(self) -> None:
        """Read everything again if a credential changed, or a sealing key came that was not there."""
        keys = frozenset(self._keyring.verification_secrets(self._clock.now()))
        async with self._database.transaction() as session:
            count = await read_change_count(session)
            if count == self._seen_count and keys <= self._seen_keys:
                return
            rows = await list_all_credentials(session, self._clock.now())
        by_merchant: dict[int, list[Credential]] = {}
        for row in rows:
            credential = self._open(row, self._clock.now())
            if credential is not None:
                by_merchant.setdefault(row.merchant_id, []).append(credential)
        self._by_merchant, self._seen_count, self._seen_keys = by_merchant, count, keys

    def _open(self, row: CredentialRow, now: datetime) -> Credential | None:
        try:
            secret = row.token_hash or unseal(self._keyring, row.sealed_secret or b"\0", owner=row.id, now=now)
        except SealBroken as fault:
            _log.error("credential_unusable", credential_id=str(row.id), reason=str(fault))
            return None
        return Credential(
            id=row.id,
            merchant_id=row.merchant_id,
            kind="token" if row.kind == "token" else "hmac",
            secret=bytes(secret),
            networks=tuple(ip_network(cidr) for cidr in row.cidrs),
            valid_until=row.valid_until,
        )

    async def run(self) -> None:
        """Follow changes until `stop`."""
        while not self._stopping.is_set():
            try:
                await self.refresh()
            except Exception as error:
                await self._outage.failed(error, self._stopping)
            else:
                self._outage.recovered()
                await pause(POLL_SECONDS, self._stopping)

    def stop(self) -> None:
        """Leave `run`."""
        self._stopping.set()

    async def health(self) -> str | None:
        """A check for Health.add_check: not loaded yet, or None."""
        return None if self.is_ready else "postback credentials are not loaded yet"
