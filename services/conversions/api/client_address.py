"""Whose request is it: the sender's own address, believed from a proxy only if we trust that proxy."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

from services.conversions.domain.signature import Network

HOPS_MAX: Final = 16
"""Proxies looked through; no honest chain is longer."""


def find_client_address(peer: str, forwarded_for: str, trusted: Sequence[Network]) -> str:
    """The peer, or, where the peer is a trusted proxy, the last address in X-Forwarded-For that is none of ours.

    A chain that breaks (something that is no address) ends at the last good one.
    """
    if not forwarded_for or not _is_trusted(_read(peer), trusted):
        return peer
    found = peer
    for hop in reversed(forwarded_for.split(",")[-HOPS_MAX:]):
        address = _read(hop)
        if address is None:
            break
        found = str(address)
        if not _is_trusted(address, trusted):
            break
    return found


def _is_trusted(address: IPv4Address | IPv6Address | None, trusted: Sequence[Network]) -> bool:
    return address is not None and any(address in network for network in trusted)


def _read(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
