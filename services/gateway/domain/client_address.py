"""Whose request it is, seen through the proxies we trust and no further."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

HOPS_MAX = 32
UNKNOWN = "0.0.0.0"  # noqa: S104 - not an address to bind to


@dataclass(frozen=True, slots=True)
class TrustedProxies:
    """The networks whose X-Forwarded-For is believed."""

    networks: tuple[Network, ...]

    def client_of(self, peer: str | None, forwarded_for: Sequence[str]) -> str:
        """The last hop that is not ours. peer: who connected; forwarded_for: X-Forwarded-For's values, in order.

        Hops that are no addresses end the search: what stands before them is a stranger's word.
        """
        address = _read(peer or "")
        if address is None:
            return UNKNOWN
        if not self.networks or not self._is_ours(address) or not forwarded_for:
            return str(address)
        hops = [hop.strip() for value in forwarded_for for hop in value.split(",")]
        for hop in reversed(hops[-HOPS_MAX:]):
            before = _read(hop)
            if before is None:
                break
            address = before
            if not self._is_ours(address):
                break
        return str(address)

    def _is_ours(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def metered_address(address: str) -> str:
    """What a client address is counted as: one household or server gets a whole IPv6 /64."""
    parsed = _read(address)
    if isinstance(parsed, IPv6Address):
        return IPv6Network((parsed, 64), strict=False).with_prefixlen
    return address


def is_private_peer(peer: str | None) -> bool:
    """True for a connection from this machine or a private network."""
    address = _read(peer or "")
    return address is not None and (address.is_loopback or address.is_private)


def _read(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address
