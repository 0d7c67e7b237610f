"""Rate limits at the door: per API key, per client address, and for failed authentications."""

import hashlib
import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from services.gateway.domain.client_address import metered_address
from services.gateway.domain.routes import Route
from shared.kernel.token_bucket import Limit, TokenBuckets
from shared.runtime.metrics import counter
from shared.runtime.problem import Headers, Problem, rate_limited
from shared.runtime.rate_limit.limiter import LeaseDesk, Limiter

SECOND_LOOKS_BUCKETS_MAX: Final = 10_000
_NAME_BYTES: Final = 16

_refusals = counter(
    "gateway_limit", unit="refusals", meaning="Requests refused by a rate limit, by what they counted against",
    labels=("policy",),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """key: per API key. address: per client address, anonymous routes. failure: failed authentications per address.

    second_looks: wrong secrets for one existing key from an address that is out of patience.
    """

    key: Limiter
    address: Limiter
    failure: Limiter
    second_looks: TokenBuckets

    @classmethod
    def of(
        cls, desk: LeaseDesk, *, key: Limit, address: Limit, failure: Limit, secret: Callable[[], bytes]
    ) -> "Limits":
        """The limits, counted by `desk`. secret: keys the hashes that addresses are called by in PostgreSQL."""

        def name_of(client: str) -> str:
            return hmac.digest(secret(), client.encode(), hashlib.sha256)[:_NAME_BYTES].hex()

        return cls(
            key=Limiter("key", key, desk),
            address=Limiter("address", address, desk, name_of=name_of),
            failure=Limiter("failure", failure, desk, name_of=name_of),
            second_looks=TokenBuckets(failure, buckets_max=SECOND_LOOKS_BUCKETS_MAX),
        )

    async def meter(self, route: Route, *, key_id: str | None, client_address: str) -> Headers:
        """Count one request; gives the RateLimit headers of its answer. Raises Problem 429."""
        if route.metering == "none":
            return []
        if route.metering == "key" and key_id is not None:
            return await _counted(self.key, key_id)
        return await _counted(self.address, metered_address(client_address))

    async def begin_attempt(self, client_address: str) -> int:
        """Count an authentication that may fail, before it is made. Gives 0, or the seconds until the next is due."""
        taken = await self.failure.take(metered_address(client_address))
        return taken.retry_after_seconds

    def forgive_attempt(self, client_address: str) -> None:
        """It did not fail: it does not count."""
        self.failure.put_back(metered_address(client_address))

    def may_look_again(self, client_address: str, key_id: str) -> bool:
        """Whether an address out of patience may try one more secret of an existing key."""
        place = f"{metered_address(client_address)} {key_id}"
        return self.second_looks.look(place, time.monotonic()).is_allowed

    def count_second_look(self, client_address: str, key_id: str) -> None:
        """A secret of an existing key was wrong, and its address was out of patience already."""
        self.second_looks.take(f"{metered_address(client_address)} {key_id}", time.monotonic())


def impatience(retry_after_seconds: int) -> Problem:
    """429 for an address that failed to authenticate too often, the same whatever it presents."""
    _refusals.labels("failure").inc()
    return rate_limited(retry_after_seconds)


async def _counted(limiter: Limiter, caller: str) -> Headers:
    try:
        return await limiter.require(caller)
    except Problem:
        _refusals.labels(limiter.policy).inc()
        raise
