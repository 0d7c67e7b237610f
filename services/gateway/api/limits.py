"""Rate limits at the door, and how they are told (draft-ietf-httpapi-ratelimit-headers)."""

import time
from dataclasses import dataclass

from services.gateway.domain.client_address import metered_address
from services.gateway.domain.routes import Route
from shared.kernel.token_bucket import Limit, Taken, TokenBuckets
from shared.runtime.metrics import counter
from shared.runtime.problem import Headers, rate_limited

_refusals = counter(
    "gateway_limit", unit="refusals", meaning="Requests refused by a rate limit, by what they counted against",
    labels=("policy",),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """key: per API key. address: per client address, anonymous routes. failure: failed authentications per address."""

    key: TokenBuckets
    address: TokenBuckets
    failure: TokenBuckets

    @classmethod
    def of(cls, *, key: Limit, address: Limit, failure: Limit, buckets_max: int) -> "Limits":
        """Empty buckets for each limit."""
        return cls(
            key=TokenBuckets(key, buckets_max=buckets_max),
            address=TokenBuckets(address, buckets_max=buckets_max),
            failure=TokenBuckets(failure, buckets_max=buckets_max),
        )

    def meter(self, route: Route, *, key_id: str | None, client_address: str) -> Headers:
        """Count one request; gives the RateLimit headers of its answer. Raises Problem 429."""
        if route.metering == "none":
            return []
        if route.metering == "key" and key_id is not None:
            return _meter(self.key, key_id, policy="key")
        return _meter(self.address, metered_address(client_address), policy="address")

    def require_patience(self, client_address: str) -> None:
        """Refuse an address that has just failed to authenticate too often. Raises Problem 429."""
        taken = self.failure.look(metered_address(client_address), time.monotonic())
        if not taken.is_allowed:
            _refusals.labels("failure").inc()
            raise rate_limited(taken.retry_after_seconds)

    def count_failure(self, client_address: str) -> None:
        """One failed authentication more from this address."""
        self.failure.take(metered_address(client_address), time.monotonic())


def _meter(buckets: TokenBuckets, caller: str, *, policy: str) -> Headers:
    taken = buckets.take(caller, time.monotonic())
    if not taken.is_allowed:
        _refusals.labels(policy).inc()
        fields = {name.decode(): value.decode() for name, value in _headers(buckets.limit, taken, policy)}
        raise rate_limited(taken.retry_after_seconds, fields)
    return _headers(buckets.limit, taken, policy)


def _headers(limit: Limit, taken: Taken, policy: str) -> Headers:
    return [
        (b"ratelimit-policy", f'"{policy}";q={limit.burst};w={limit.window_seconds}'.encode()),
        (b"ratelimit", f'"{policy}";r={taken.remaining};t={taken.reset_seconds}'.encode()),
    ]
