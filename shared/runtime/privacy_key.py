"""The secret that keys hashes of personal values: a file of its own, the same for every process that hashes."""

from pathlib import Path
from typing import Final

PRIVACY_KEY_BYTES_MIN: Final = 16


def read_privacy_key(path: Path) -> bytes:
    """The secret in the file. Raises ValueError when it is missing or short; neither says what is in it."""
    try:
        key = path.read_bytes().strip()
    except OSError:
        raise ValueError(f"PRIVACY_KEY_FILE: {path.name} cannot be read") from None
    if len(key) < PRIVACY_KEY_BYTES_MIN:
        raise ValueError(f"PRIVACY_KEY_FILE: needs at least {PRIVACY_KEY_BYTES_MIN} bytes")
    return key
