"""API keys: `trb_<role>_<8 id>_<32 random>`. The id is public, the rest is 160 bits that only the caller keeps."""

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from services.gateway.domain.parties import PartyStatus

KeyRole = Literal["admin", "merchant", "affiliate", "finance"]
KEY_ROLES: Final[tuple[KeyRole, ...]] = ("admin", "merchant", "affiliate", "finance")
ROTATION_OVERLAP: Final = timedelta(hours=24)
"""How long a rotated key still opens: time to carry the new one everywhere."""

KEY_CHARACTERS_MAX: Final = 64
_KEY = re.compile(r"trb_(admin|merchant|affiliate|finance)_([a-z0-9]{8})_([a-z0-9]{32})", re.ASCII)
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
KEY_ENTROPY_BYTES: Final = 40
_ID_BYTES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """What is stored of a key. Exactly the tenant id of its role is set. party_status: that tenant's, now."""

    key_id: str
    role: KeyRole
    merchant_id: int | None
    affiliate_id: int | None
    label: str
    secret_sha256: bytes
    replaces_key_id: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    party_status: PartyStatus = "active"

    def opens_at(self, now: datetime) -> bool:
        """True until it is revoked or has expired, and not while its merchant or affiliate is suspended."""
        is_over = self.revoked_at is not None or (self.expires_at is not None and now >= self.expires_at)
        return not is_over and self.party_status == "active"


def spell_key(role: KeyRole, entropy: bytes) -> str:
    """A new key from 40 random bytes: five bits of each make one character."""
    if len(entropy) != KEY_ENTROPY_BYTES:
        raise ValueError("a key takes 40 random bytes")
    characters = "".join(_ALPHABET[byte & 31] for byte in entropy)
    return f"trb_{role}_{characters[:_ID_BYTES]}_{characters[_ID_BYTES:]}"


def key_id_of(key: str) -> str | None:
    """The public id inside a key, or None for what is no key at all."""
    match = _KEY.fullmatch(key) if len(key) <= KEY_CHARACTERS_MAX else None
    return match[2] if match else None


def key_role_of(key: str) -> str | None:
    """The role a key claims, or None for what is no key."""
    match = _KEY.fullmatch(key) if len(key) <= KEY_CHARACTERS_MAX else None
    return match[1] if match else None


def key_hash(key: str) -> bytes:
    """SHA-256 of the whole key: enough for 160 random bits, and cheap enough for every request."""
    return hashlib.sha256(key.encode("ascii")).digest()


_NO_KEY: Final = bytes(32)


def key_matches(key: str, stored: ApiKey | None) -> bool:
    """Whether `key` is the stored one, compared in constant time; the same work where nothing is stored."""
    expected = stored.secret_sha256 if stored is not None else _NO_KEY
    return hmac.compare_digest(key_hash(key), expected) and stored is not None
