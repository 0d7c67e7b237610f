"""Where an API key becomes a caller: one look into the database, remembered for a second.

While the database is down, keys verified within the last OUTAGE_GRACE_SECONDS keep opening; others get 503.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from services.gateway.api.second_look import SecondLook
from services.gateway.domain.api_keys import ApiKey, key_hash, key_id_of, key_matches
from services.gateway.storage.key_store import look_up_key
from shared.kernel.clock import Clock
from shared.runtime.database import Database
from shared.runtime.logging import get_logger
from shared.runtime.metrics import counter
from shared.runtime.problem import unauthenticated, unavailable

FRESH_SECONDS: Final = 1.0
"""How long another process's revocation may go unnoticed."""

OUTAGE_GRACE_SECONDS: Final = 60.0
REMEMBERED_MAX: Final = 10_000

LOOK_UP_SECONDS: Final = 3.0
"""A database that hangs is as good as one that is down: the caller hears 503, and does not wait for ever."""

_log = get_logger(__name__)
_answers = counter(
    "gateway_keys", unit="lookups", meaning="API keys presented, by what came of it", labels=("outcome",)
)


@dataclass(frozen=True, slots=True)
class _Known:
    key: ApiKey
    checked_seconds: float


@dataclass(frozen=True, slots=True)
class SecondSight:
    """existing_id: of the key that a spelling names, if there is one. key: set where the secret is right too.

    forgotten: how often anything had been forgotten when it was looked up; -1 where it was not.
    """

    existing_id: str | None
    key: ApiKey | None
    forgotten: int = -1


class KeyDesk:
    """Keeps the last verified keys by the hash of their spelling; the spelling itself is kept nowhere."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._second_look = SecondLook(database)
        self._forgotten = 0
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._looking: dict[bytes, asyncio.Task[ApiKey]] = {}

    def remembered(self, spelling: str) -> ApiKey | None:
        """The key behind `spelling` if it was verified a moment ago and still opens."""
        known = self._known.get(key_hash(spelling))
        if known is None or time.monotonic() - known.checked_seconds > FRESH_SECONDS:
            return None
        return known.key if known.key.opens_at(self._clock.now()) else None

    def knows(self, spelling: str) -> bool:
        """Whether `spelling` was verified lately: its caller is not guessing."""
        known = self._known.get(key_hash(spelling))
        return known is not None and time.monotonic() - known.checked_seconds <= OUTAGE_GRACE_SECONDS

    async def look_again(self, spelling: str) -> SecondSight:
        """What is behind `spelling`, from an address that is out of patience. Raises Problem 503."""
        key_id = key_id_of(spelling)
        if key_id is None:
            _answers.labels("malformed").inc()
            return SecondSight(None, None)
        forgotten = self._forgotten
        try:
            key = await self._second_look.find(key_id)
        except Exception as fault:
            return SecondSight(key_id, self._verified_before(spelling, fault))
        if not key_matches(spelling, key) or key is None or not key.opens_at(self._clock.now()):
            _answers.labels("refused").inc()
            return SecondSight(key_id if key else None, None)
        _answers.labels("verified").inc()
        return SecondSight(key_id, key, forgotten)

    def believe(self, sight: SecondSight) -> ApiKey:
        """Its key, which from now on opens like any other. A key that was forgotten meanwhile is looked up again."""
        assert sight.key is not None
        if sight.forgotten == self._forgotten:
            self._remember(sight.key)
        return sight.key

    async def verify(self, spelling: str) -> ApiKey:
        """The key behind `spelling`. Raises Problem 401, the same for every fault, or 503.

        Requests that come with one key at once share one look into the database.
        """
        spelling_hash = key_hash(spelling)
        looking = self._looking.get(spelling_hash)
        if looking is None:
            looking = asyncio.create_task(self._look_up(spelling))
            self._looking[spelling_hash] = looking
            looking.add_done_callback(lambda done: self._stop_sharing(spelling_hash, done))
        return await asyncio.shield(looking)

    def _stop_sharing(self, spelling_hash: bytes, looking: asyncio.Task[ApiKey]) -> None:
        if self._looking.get(spelling_hash) is looking:
            del self._looking[spelling_hash]
        if not looking.cancelled():
            looking.exception()  # every caller may have left: nobody else would ask for it

    async def _look_up(self, spelling: str) -> ApiKey:
        key_id = key_id_of(spelling)
        if key_id is None:
            _answers.labels("malformed").inc()
            raise unauthenticated()
        this_look = asyncio.current_task()
        try:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                key = await look_up_key(self._database, key_id)
        except Exception as fault:
            return self._verified_before(spelling, fault)
        if not key_matches(spelling, key) or key is None or not key.opens_at(self._clock.now()):
            self._forget_known(key_id)
            _answers.labels("refused").inc()
            raise unauthenticated()
        _answers.labels("verified").inc()
        if self._looking.get(key.secret_sha256) is this_look:
            self._remember(key)  # unless it was forgotten meanwhile: what was read may be older than that
        return key

    def forget(self, key_id: str) -> None:
        """Look this key up again at its next use: it was rotated or revoked. A look under way is not believed."""
        self._looking.clear()
        self._forgotten += 1
        self._forget_known(key_id)

    def forget_party(self, *, merchant_id: int | None = None, affiliate_id: int | None = None) -> None:
        """The same for every key of a merchant or an affiliate: it was suspended or reinstated."""
        self._looking.clear()
        self._forgotten += 1
        for spelling_hash in [
            known
            for known, entry in self._known.items()
            if (entry.key.merchant_id, entry.key.affiliate_id) == (merchant_id, affiliate_id)
        ]:
            del self._known[spelling_hash]

    def _forget_known(self, key_id: str) -> None:
        for spelling_hash in [known for known, entry in self._known.items() if entry.key.key_id == key_id]:
            del self._known[spelling_hash]

    def _remember(self, key: ApiKey) -> None:
        self._known[key.secret_sha256] = _Known(key, time.monotonic())
        self._known.move_to_end(key.secret_sha256)
        if len(self._known) > REMEMBERED_MAX:
            self._known.popitem(last=False)

    def _verified_before(self, spelling: str, fault: Exception) -> ApiKey:
        _log.warning("key_lookup_failed", reason=type(fault).__name__)
        known = self._known.get(key_hash(spelling))
        if known is not None and time.monotonic() - known.checked_seconds <= OUTAGE_GRACE_SECONDS:
            if not known.key.opens_at(self._clock.now()):
                raise unauthenticated()
            _answers.labels("verified_before").inc()
            return known.key
        _answers.labels("unavailable").inc()
        raise unavailable(code="keys_unavailable", detail="Keys cannot be checked now; try again in a moment.")
