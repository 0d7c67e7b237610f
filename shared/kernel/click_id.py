"""The click ID: 35 bytes that prove themselves, spelt in 56 characters.

    key 1 · flags 1 · time 5 (ms since 2020) · nonce 4 · offer 4 · affiliate 4 · offer version 2 · tag 14 (HMAC-SHA256)

35 bytes are exactly 56 characters of base32hex, so no spelling has spare bits. Lower case is canonical; a change
of case on the way through other people's systems does no harm. Store and compare `bytes`, never the spelling.
"""

import base64
import binascii
import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import IntFlag
from functools import lru_cache
from typing import Final

from shared.kernel.errors import InvalidValue
from shared.kernel.ids import is_party_id

CLICK_ID_BYTES: Final = 35
CLICK_ID_CHARACTERS: Final = 56
_EPOCH: Final = datetime(2020, 1, 1, tzinfo=UTC)
_EPOCH_MS: Final = int(_EPOCH.timestamp() * 1000)
_TAG_BYTES: Final = 14
_BODY: Final = struct.Struct(">BBBIIIIH")  # time is split in 1 + 4 bytes
_TIME_MS_MAX: Final = 2**40 - 1
_CHUNK: Final = struct.Struct(">BI")
_ALPHABET: Final = "0123456789abcdefghijklmnopqrstuv"
_PAIRS: Final = tuple(first + second for first in _ALPHABET for second in _ALPHABET)


class ClickFlags(IntFlag):
    """What the redirect knew of the click; conversions obeys it and never judges again."""

    NONE = 0
    ROBOT = 1
    DUPLICATE = 2
    UNENROLLED = 4
    INACTIVE = 8
    OVER_CLICK_CAP = 16
    TEST = 32
    FLOOD = 64


class ClickIdInvalid(InvalidValue):
    """A click ID that does not verify. Codes: click_id_malformed, click_id_unknown_key, click_id_forged."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__("click_id", code, message)


@dataclass(frozen=True, slots=True)
class Click:
    """What a click ID says. clicked_at: UTC, to the millisecond. nonce: 32 bits. offer_version: 1 to 65535."""

    flags: ClickFlags
    clicked_at: datetime
    nonce: int
    offer_id: int
    affiliate_id: int
    offer_version: int


def milliseconds_since_2020(instant: datetime) -> int:
    """Whole milliseconds from 2020-01-01 UTC to `instant` (aware)."""
    return (instant - _EPOCH) // timedelta(milliseconds=1)


def sign_click_id(click: Click, *, key_id: int, secret: bytes) -> bytes:
    """The click ID of `click`, 35 bytes, signed with `secret` under `key_id` (0 to 255)."""
    return sign_fields(
        flags=int(click.flags),
        time_ms=milliseconds_since_2020(click.clicked_at),
        nonce=click.nonce,
        offer_id=click.offer_id,
        affiliate_id=click.affiliate_id,
        offer_version=click.offer_version,
        key_id=key_id,
        secret=secret,
    )


def sign_fields(
    *,
    flags: int,
    time_ms: int,
    nonce: int,
    offer_id: int,
    affiliate_id: int,
    offer_version: int,
    key_id: int,
    secret: bytes,
) -> bytes:
    """The same from plain integers, for the redirect's hot path. time_ms: milliseconds since 2020."""
    if not 0 <= time_ms <= _TIME_MS_MAX:
        raise ValueError("a click ID holds times from 2020 to 2054")
    body = _BODY.pack(key_id, flags, time_ms >> 32, time_ms & 0xFFFFFFFF, nonce, offer_id, affiliate_id, offer_version)
    return body + _tag(secret, body)


def _tag(secret: bytes, body: bytes) -> bytes:
    """HMAC-SHA256, cut. From prepared states: setting a key up costs more than the two short hashes."""
    inner_key, outer_key = _hmac_states(secret)
    inner, outer = inner_key.copy(), outer_key.copy()
    inner.update(body)
    outer.update(inner.digest())
    return outer.digest()[:_TAG_BYTES]


@lru_cache(maxsize=64)
def _hmac_states(secret: bytes) -> "tuple[hashlib._Hash, hashlib._Hash]":
    """SHA-256 after the inner and the outer padded key (RFC 2104)."""
    key = (secret if len(secret) <= 64 else hashlib.sha256(secret).digest()).ljust(64, b"\0")
    return hashlib.sha256(bytes(b ^ 0x36 for b in key)), hashlib.sha256(bytes(b ^ 0x5C for b in key))


def spell_click_id(click_id: bytes) -> str:
    """The canonical spelling: 56 lower-case characters of `[0-9a-v]`."""
    if len(click_id) != CLICK_ID_BYTES:
        raise ValueError(f"a click ID has {CLICK_ID_BYTES} bytes")
    pair = _PAIRS
    spelt = ""
    for high, low in _CHUNK.iter_unpack(click_id):  # 5 bytes are 8 characters; half the price of base64's own loop
        spelt += pair[high << 2 | low >> 30] + pair[low >> 20 & 1023] + pair[low >> 10 & 1023] + pair[low & 1023]
    return spelt


def read_click_id(spelling: str) -> bytes:
    """The 35 bytes behind a spelling, unverified. Raises ClickIdInvalid(click_id_malformed)."""
    if len(spelling) != CLICK_ID_CHARACTERS or not spelling.isascii():
        raise ClickIdInvalid("click_id_malformed", f"must be {CLICK_ID_CHARACTERS} characters of 0-9 and a-v")
    upper = spelling.upper()
    try:
        click_id = base64.b32hexdecode(upper)
    except (binascii.Error, ValueError):
        raise ClickIdInvalid("click_id_malformed", "must be made of 0-9 and a-v") from None
    if base64.b32hexencode(click_id).decode("ascii") != upper:
        raise ClickIdInvalid("click_id_malformed", "must be spelt canonically")
    return click_id


def clicked_at_of(click_id: bytes) -> datetime:
    """The time that a click ID of 35 bytes holds, unverified."""
    time_high, time_low = struct.unpack_from(">BI", click_id, 2)
    return _instant(time_high, time_low)


def _instant(time_high: int, time_low: int) -> datetime:
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=_EPOCH_MS + (time_high << 32) + time_low)


def verify_click_id(click_id: bytes, secrets: Mapping[int, bytes]) -> Click:
    """What a click ID says, once its tag verifies under the key it names.

    secrets: verification secrets by key id. Raises ClickIdInvalid (malformed, unknown key, forged). Age is not
    judged here: that is the offer version's attribution window.
    """
    if len(click_id) != CLICK_ID_BYTES:
        raise ClickIdInvalid("click_id_malformed", f"must be {CLICK_ID_BYTES} bytes")
    body, tag = click_id[:-_TAG_BYTES], click_id[-_TAG_BYTES:]
    secret = secrets.get(body[0])
    if secret is None:
        raise ClickIdInvalid("click_id_unknown_key", "was not issued here, or its key has been retired")
    if not hmac.compare_digest(_tag(secret, body), tag):
        raise ClickIdInvalid("click_id_forged", "does not verify")
    _, flags, time_high, time_low, nonce, offer_id, affiliate_id, offer_version = _BODY.unpack(body)
    if not (is_party_id(offer_id) and is_party_id(affiliate_id) and offer_version):
        raise ClickIdInvalid("click_id_malformed", "names no offer or no affiliate")
    return Click(ClickFlags(flags), _instant(time_high, time_low), nonce, offer_id, affiliate_id, offer_version)
