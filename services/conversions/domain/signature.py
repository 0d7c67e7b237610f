"""How a merchant proves itself: an HMAC over raw bytes with a time in them, or a token; each with its addresses."""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Final, Literal
from uuid import UUID

from services.conversions.domain.outcomes import Outcome

TIMESTAMP_TOLERANCE_SECONDS: Final = 300
SIGNATURES_MAX: Final = 4
"""`v1=` values looked at in one header: a merchant that rotates sends two."""

_SIGNATURE = re.compile(r"[0-9a-f]{64}", re.ASCII)
_SECONDS = re.compile(r"[0-9]{1,12}", re.ASCII)
_QUERY_SIGNATURE: Final = b"&sig="
_NOBODYS_SECRET: Final = b"nobody has this secret; it only takes the same time"

Network = IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Credential:
    """One way a merchant may prove itself.

    secret: the HMAC key, or for a token its SHA-256. networks: allowed addresses, empty for any. valid_until: a
    rotated secret's end.
    """

    id: UUID
    merchant_id: int
    kind: Literal["hmac", "token"]
    secret: bytes = field(repr=False)
    networks: tuple[Network, ...] = ()
    valid_until: datetime | None = None

    def is_valid_at(self, now: datetime) -> bool:
        """True until `valid_until` has passed."""
        return self.valid_until is None or now <= self.valid_until

    def allows(self, address: str) -> bool:
        """True when requests from `address` may use it."""
        if not self.networks:
            return True
        try:
            client = ip_address(address)
        except ValueError:
            return False
        mapped = getattr(client, "ipv4_mapped", None)
        return any((mapped or client) in network for network in self.networks)


class PostbackUnauthenticated(Exception):
    """The sender did not prove to be the merchant. outcome: why, for the merchant's own debugging."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.label)
        self.outcome = outcome


@dataclass(frozen=True, slots=True)
class Signed:
    """A message with a claim: `message` was signed as one of `signatures` at `at_seconds`."""

    message: bytes
    signatures: tuple[str, ...]
    at_seconds: int | None


def split_signed_query(query: bytes) -> tuple[bytes, str]:
    """The signed part of a raw query, and its signature. Raises PostbackUnauthenticated: not there, or not last."""
    signed, separator, signature = query.rpartition(_QUERY_SIGNATURE)
    if not separator:
        raise PostbackUnauthenticated(Outcome.SIGNATURE_MISSING)
    try:
        text = signature.decode("ascii")
    except UnicodeDecodeError:
        raise PostbackUnauthenticated(Outcome.SIGNATURE_INVALID) from None
    if not _SIGNATURE.fullmatch(text) or signed.startswith(b"sig=") or _QUERY_SIGNATURE in signed:
        raise PostbackUnauthenticated(Outcome.SIGNATURE_INVALID)
    return signed, text


def read_signature_header(header: str, body: bytes) -> Signed:
    """The claim of `Tributary-Signature: t=…,v1=…` over `t.body`. Raises PostbackUnauthenticated when malformed."""
    parts = [part.strip().partition("=") for part in header.split(",")]
    times = [value for name, _, value in parts if name == "t"]
    signatures = tuple(value for name, _, value in parts if name == "v1")
    good = len(times) == 1 and _SECONDS.fullmatch(times[0]) and 1 <= len(signatures) <= SIGNATURES_MAX
    if not good or not all(_SIGNATURE.fullmatch(signature) for signature in signatures):
        raise PostbackUnauthenticated(Outcome.SIGNATURE_INVALID)
    return Signed(times[0].encode("ascii") + b"." + body, signatures, int(times[0]))


def parse_seconds(text: str | None) -> int | None:
    """Unix seconds, or None when `text` is not that."""
    return int(text) if text is not None and _SECONDS.fullmatch(text) else None


def verify_signed(signed: Signed, credentials: Sequence[Credential], *, address: str, now: datetime) -> Credential:
    """The credential that made the signature. Raises PostbackUnauthenticated.

    An unknown merchant (no credentials) fails as a wrong signature does, after the same work.
    """
    usable = [c for c in credentials if c.kind == "hmac" and c.is_valid_at(now)]
    found = None
    for credential in usable:
        if _matches(signed, credential.secret):
            found = credential
    if not usable:
        _matches(signed, _NOBODYS_SECRET)
    if found is None:
        raise PostbackUnauthenticated(Outcome.SIGNATURE_INVALID)
    if signed.at_seconds is None or abs(int(now.timestamp()) - signed.at_seconds) > TIMESTAMP_TOLERANCE_SECONDS:
        raise PostbackUnauthenticated(Outcome.TIMESTAMP_OUTSIDE)
    if not found.allows(address):
        raise PostbackUnauthenticated(Outcome.ADDRESS_NOT_ALLOWED)
    return found


def verify_token(token: str, credentials: Sequence[Credential], *, address: str, now: datetime) -> Credential:
    """The credential whose token this is. Raises PostbackUnauthenticated."""
    presented = token_hash(token)
    found = None
    for credential in credentials:
        usable = credential.kind == "token" and credential.is_valid_at(now)
        if usable and hmac.compare_digest(presented, credential.secret):
            found = credential
    if found is None:
        raise PostbackUnauthenticated(Outcome.CREDENTIAL_UNKNOWN)
    if not found.allows(address):
        raise PostbackUnauthenticated(Outcome.ADDRESS_NOT_ALLOWED)
    return found


def token_hash(token: str) -> bytes:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _matches(signed: Signed, secret: bytes) -> bool:
    expected = hmac.digest(secret, signed.message, "sha256").hex()
    matched = False
    for signature in signed.signatures:
        matched |= hmac.compare_digest(expected, signature)
    return matched
