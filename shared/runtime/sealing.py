"""Secrets at rest: AES-256-GCM under a key of the sealing keyring, bound to the row it belongs to."""

import secrets
from datetime import datetime
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from shared.runtime.keyring import Keyring

_NONCE_BYTES: Final = 12


class SealBroken(Exception):
    """A sealed secret that cannot be opened: its key is gone, or it was moved or changed."""


def seal(keyring: Keyring, secret: bytes, *, owner: UUID) -> bytes:
    """`secret` sealed for the row `owner`: key id, nonce, ciphertext and tag."""
    key, nonce = keyring.signing, secrets.token_bytes(_NONCE_BYTES)
    return bytes([key.id]) + nonce + AESGCM(key.secret).encrypt(nonce, secret, owner.bytes)


def unseal(keyring: Keyring, sealed: bytes, *, owner: UUID, now: datetime) -> bytes:
    """What was sealed for `owner`. Raises SealBroken."""
    key = keyring.find(sealed[0], now)
    if key is None:
        raise SealBroken("the sealing key is gone")
    nonce, ciphertext = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return AESGCM(key.secret).decrypt(nonce, ciphertext, owner.bytes)
    except InvalidTag:
        raise SealBroken("the sealed secret does not open") from None
