"""Floods: more clicks from one address than people make. Noticed by one process from its own memory, never refused.

Nothing of an address is kept: a bucket is known by a hash that only this process, while it runs, could repeat.
"""

from ipaddress import IPv6Address, ip_network
from typing import Final

from services.clicks.domain.visitor import read_address
from shared.kernel.token_bucket import Limit, TokenBuckets

BUCKETS_MAX: Final = 100_000
"""About 20 MB when full."""

_HALF_OF_IPV6: Final = 64
_NEVER_A_SHOPPER: Final = frozenset({"10", "127"})
_PERHAPS_NOT: Final = frozenset({"0", "100", "169", "172", "192"})
_OURS: Final = tuple(
    ip_network(text)
    for text in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12",
        "192.168.0.0/16", "::1/128", "fc00::/7", "fe80::/10",
    )
)  # fmt: skip


class Floods:
    """Counts clicks by address, IPv6 by its /64. An address inside a network is a proxy's, so it is never a flood."""

    def __init__(self, limit: Limit, *, buckets_max: int = BUCKETS_MAX) -> None:
        self._buckets = TokenBuckets(limit, buckets_max=buckets_max)

    def is_flood(self, address: str, now_seconds: float) -> bool:
        """Count one click at `now_seconds` (of a clock that does not step back). True beyond the limit."""
        sender = _sender_of(address)
        return sender is not None and not self._buckets.take(sender, now_seconds).is_allowed


def _sender_of(address: str) -> int | None:
    """Whose click it is, as a hash; None where the address says nothing."""
    first = address.partition(".")[0]
    if first in _NEVER_A_SHOPPER:
        return None
    if first.isdigit() and first not in _PERHAPS_NOT:
        return hash(address)
    parsed = read_address(address)
    if parsed is None or any(parsed in network for network in _OURS):
        return None
    if isinstance(parsed, IPv6Address):
        return hash((_HALF_OF_IPV6, int(parsed) >> _HALF_OF_IPV6))
    return hash(str(parsed))
