"""Floods are flagged by address, and nobody is refused."""

import pytest

from services.clicks.domain.floods import Floods
from shared.kernel.token_bucket import Limit

LIMIT = Limit(tokens_per_second=1, burst=3)


def flags_of(*addresses: str) -> list[bool]:
    """Whether each of these clicks, all at once, is part of a flood."""
    floods = Floods(LIMIT)
    return [floods.is_flood(address, 0.0) for address in addresses]


def test_clicks_beyond_the_burst_are_a_flood_until_it_ebbs() -> None:
    floods = Floods(LIMIT)

    assert [floods.is_flood("8.8.4.4", 0.0) for _ in range(5)] == [False] * 3 + [True] * 2
    assert [floods.is_flood("8.8.4.4", 2.0) for _ in range(3)] == [False] * 2 + [True]


def test_another_address_is_no_part_of_it() -> None:
    assert flags_of("8.8.4.4", "8.8.4.4", "8.8.4.4", "8.8.8.8", "8.8.4.4") == [False] * 4 + [True]


def test_a_household_of_ipv6_is_one_address() -> None:
    flags = flags_of("2a00::1", "2a00::2", "2a00:0:0:0:ffff::3", "2a00::4", "2a00:0:0:1::1")

    assert flags == [False, False, False, True, False]


@pytest.mark.parametrize("address", ["10.1.2.3", "127.0.0.1", "172.20.0.1", "192.168.0.1", "100.64.0.1", "fd00::1", ""])
def test_an_address_inside_a_network_is_a_proxys(address: str) -> None:
    assert flags_of(*[address] * 10) == [False] * 10
