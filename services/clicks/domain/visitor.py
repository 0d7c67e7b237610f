"""What is kept of a shopper: keyed hashes of a shortened address and of a first-party cookie, never either itself."""

import hmac
import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

VISITOR_TOKEN_BYTES: Final = 16
_HASH_BYTES: Final = 16
_TOKEN = re.compile(r"[0-9a-f]{32}", re.ASCII)


def is_visitor_token(text: str) -> bool:
    """True for the value of a visitor cookie of ours: 128 bits in hexadecimal."""
    return _TOKEN.fullmatch(text) is not None


def visitor_key(token: str, *, secret: bytes) -> str:
    """The keyed hash of a visitor cookie, 32 hexadecimal characters."""
    return hmac.digest(secret, b"visitor:" + token.encode("ascii"), "sha256")[:_HASH_BYTES].hex()


def address_hash(address: str, *, secret: bytes) -> str | None:
    """The keyed hash of an address's network, /24 or /48, 32 hexadecimal characters; None when it is no address."""
    network = _network_of(address)
    if network is None:
        return None
    return hmac.digest(secret, b"network:" + network, "sha256")[:_HASH_BYTES].hex()


def read_address(text: str) -> IPv4Address | IPv6Address | None:
    """The address spelt by `text`; IPv4 inside IPv6 (`::ffff:…`) as IPv4, without zone; None for anything else."""
    try:
        address = ip_address(text.strip().partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _network_of(text: str) -> bytes | None:
    address = read_address(text)
    if address is None:
        return None
    return address.packed[:3] if address.version == 4 else address.packed[:6]
