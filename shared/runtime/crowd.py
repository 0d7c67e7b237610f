"""Who is connected to one server: how many in all and from each address, and who still has a place."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final

from shared.runtime.fill import Fill

Network = IPv4Network | IPv6Network

RETRY_AFTER_SECONDS: Final = 1
REFUSED_LINGERING_MAX: Final = 200
"""Refused connections that may stay a moment to read why; more are simply closed."""

_HALF_OF_IPV6: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """How many connections a server keeps.

    all_max: in all. address_max: from one address (IPv6: a /64), except from `trusted` networks, whose proxies bring
    many clients each. reserved_paths: path prefixes that the last `reserved_share` of all places is kept for; without
    them nothing is reserved.
    """

    all_max: int = 2_000
    address_max: int = 500
    trusted: Sequence[Network] = ()
    reserved_paths: tuple[bytes, ...] = ()
    reserved_share: float = 0.2

    @property
    def open_max(self) -> int:
        """Connections up to which every path is served."""
        return int(self.all_max * (1 - self.reserved_share)) if self.reserved_paths else self.all_max


class Crowd:
    """The connections of one server."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._by_address: Counter[str] = Counter()
        self._fill = Fill("connections", limit=places.all_max)
        self.total = 0

    def enter(self, client: str) -> str:
        """A connection from `client` is there. Gives the name to leave under."""
        name = _counted_as(client)
        self.total += 1
        self._by_address[name] += 1
        self._fill.set(self.total)
        return name

    def leave(self, name: str) -> None:
        """It is gone."""
        self.total -= 1
        self._by_address[name] -= 1
        if self._by_address[name] <= 0:
            del self._by_address[name]
        self._fill.set(self.total)

    def has_room_for(self, client: str, name: str) -> bool:
        """Whether the connection that has just entered may stay."""
        places = self._places
        if self.total > places.all_max:
            return False
        return self._by_address[name] <= places.address_max or _is_in(client, tuple(places.trusted))

    def refuse(self) -> bool:
        """Count a refusal. True where the client may stay to read it."""
        self._fill.refused()
        return self.total <= self._places.all_max + REFUSED_LINGERING_MAX

    @property
    def is_dense(self) -> bool:
        """True when only the reserved places are left: idle connections end, and only reserved paths are served."""
        return self.total > self._places.open_max

    def serves(self, target: bytes) -> bool:
        """Whether a request for `target` (path and query) is served now."""
        return not self.is_dense or not self._places.reserved_paths or target.startswith(self._places.reserved_paths)


@lru_cache(maxsize=4_096)
def _counted_as(client: str) -> str:
    if ":" not in client:
        return client
    try:
        address = ip_address(client.partition("%")[0])
    except ValueError:
        return client
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped) if mapped is not None else f"{int(address) >> _HALF_OF_IPV6:x}/64"


@lru_cache(maxsize=4_096)
def _is_in(client: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ip_address(client)
    except ValueError:
        return False
    return any(address in network for network in networks)
