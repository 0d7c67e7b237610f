"""Client addresses: a proxy is believed only where we trust it."""

from ipaddress import ip_network

import pytest

from services.gateway.domain.client_address import TrustedProxies, is_private_peer, metered_address

OURS = TrustedProxies((ip_network("10.0.0.0/8"), ip_network("fd00::/8")))


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("203.0.113.7", [], "203.0.113.7"),
        ("203.0.113.7", ["198.51.100.1"], "203.0.113.7"),
        ("10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("10.0.0.1", ["198.51.100.1, nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["198.51.100.1:4711"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["2001:db8::1"], "2001:db8::1"),
        ("fd00::1", ["2001:DB8:0::1"], "2001:db8::1"),
        ("10.0.0.1", ["::ffff:198.51.100.1"], "198.51.100.1"),
        ("::ffff:10.0.0.1", ["198.51.100.1"], "198.51.100.1"),
        ("10.0.0.1", ["fe80::1%eth0"], "10.0.0.1"),
        (None, ["198.51.100.1"], "0.0.0.0"),
        ("testclient", ["198.51.100.1"], "0.0.0.0"),
    ],
)
def test_the_last_hop_that_is_not_ours_is_the_client(peer: str | None, forwarded: list[str], client: str) -> None:
    assert OURS.client_of(peer, forwarded) == client


def test_nobody_is_trusted_by_default() -> None:
    assert TrustedProxies(()).client_of("10.0.0.1", ["198.51.100.1"]) == "10.0.0.1"


def test_an_ipv6_network_counts_as_one() -> None:
    assert metered_address("2001:db8::1") == metered_address("2001:db8::ffff") != metered_address("2001:db8:0:1::1")
    assert metered_address("198.51.100.1") == "198.51.100.1"


def test_peers_of_our_own_network() -> None:
    assert is_private_peer("127.0.0.1")
    assert is_private_peer("10.1.2.3")
    assert not is_private_peer("203.0.114.7")
    assert not is_private_peer(None)
