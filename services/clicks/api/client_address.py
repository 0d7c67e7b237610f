"""Whose request is it: the shopper's own address, believed from a proxy only if we trust that proxy."""

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network

from services.clicks.domain.visitor import read_address

HOPS_MAX = 16
"""Proxies looked through; no honest chain is longer."""


class ClientAddresses:
    """Finds the address of a request's sender. trusted: networks of our own proxies (TRUSTED_PROXY_CIDRS)."""

    def __init__(self, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._trusted = tuple(trusted)
        self._verdicts: dict[str, bool] = {}

    def find(self, peer: str, forwarded_for: str) -> str:
        """The peer, or, where the peer is a trusted proxy, the last address in X-Forwarded-For that is none of ours.

        A chain that breaks (something that is no address) ends at the last good one.
        """
        if not forwarded_for or not self._is_trusted(peer):
            return peer
        found = peer
        for hop in reversed(forwarded_for.split(",")[-HOPS_MAX:]):
            address = read_address(hop)
            if address is None:
                break
            found = str(address)
            if not any(address in network for network in self._trusted):
                break
        return found

    def _is_trusted(self, peer: str) -> bool:
        if not self._trusted:
            return False
        if peer not in self._verdicts:
            if len(self._verdicts) >= 1_000:
                self._verdicts.clear()
            address = read_address(peer)
            self._verdicts[peer] = address is not None and any(address in network for network in self._trusted)
        return self._verdicts[peer]
