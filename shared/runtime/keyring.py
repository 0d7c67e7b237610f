"""A keyring file: secrets by key id, reloaded while the process runs, so that keys rotate without a restart.

    {"signing": 2, "keys": {"1": {"secret": "<64 hex>", "not_after": "2027-01-01T00:00:00Z"}, "2": {…}}}

Rotation: add the new key to every copy of the file, and only then sign with it; let the old one run out.
"""

import asyncio
import json
import os
import secrets
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shared.runtime.logging import get_logger
from shared.runtime.metrics import Watched, before_rendering, counter, gauge

SECRET_BYTES: Final = 32
KEY_ID_MAX: Final = 255
"""A key id is one byte of a click ID."""

KEYS_MAX: Final = 64
FILE_BYTES_MAX: Final = 65_536
POLL_SECONDS: Final = 1.0
"""How soon every process knows a new key; wait several of these between adding and promoting."""

_log = get_logger(__name__)
_verifying = gauge("keyring_verifying", unit="keys", meaning="Keys that verify now", labels=["keyring"])
_next_end = gauge(
    "keyring_next_end", unit="seconds", meaning="Until the next key stops verifying, absent while none has an end",
    labels=["keyring"],
)  # fmt: skip
_refused = counter("keyring_reload", unit="refusals", meaning="Changed keyring files not used", labels=["keyring"])
_watched: "Watched[Keyring]" = Watched()


class KeyringInvalid(Exception):
    """A keyring file that cannot be used. The message names the file's fault, never a secret."""


@dataclass(frozen=True, slots=True)
class Key:
    """One secret. id: 0 to 255. not_after: the last instant it verifies at, or None for no end."""

    id: int
    secret: bytes = field(repr=False)
    not_after: datetime | None = None

    def is_valid_at(self, now: datetime) -> bool:
        """True until `not_after` has passed."""
        return self.not_after is None or now <= self.not_after


@dataclass(frozen=True, slots=True)
class _Keys:
    signing: int
    by_id: Mapping[int, Key]


class Keyring:
    """The keys of one file. Never empty: a bad new file keeps the keys read before, and is logged."""

    def __init__(self, path: Path, *, poll_seconds: float = POLL_SECONDS) -> None:
        self._path = path
        self._poll_seconds = poll_seconds
        self._stamp = _stamp_of(path)
        self._keys = _read(path)
        _warn_if_readable_by_all(path)
        _refused.labels(path.stem)
        _watched.add(self)

    @classmethod
    def load(cls, path: str | Path, *, poll_seconds: float = POLL_SECONDS) -> "Keyring":
        """The keyring in `path`. Raises KeyringInvalid, also when there is no such file."""
        return cls(Path(path), poll_seconds=poll_seconds)

    def __repr__(self) -> str:
        return f"Keyring({self._path.name}, signing={self._keys.signing}, ids={sorted(self._keys.by_id)})"

    @property
    def signing(self) -> Key:
        """The key new signatures are made with."""
        return self._keys.by_id[self._keys.signing]

    def find(self, key_id: int, now: datetime) -> Key | None:
        """The key that verifies `key_id` at `now`; None when unknown or past its `not_after`."""
        key = self._keys.by_id.get(key_id)
        return key if key is not None and key.is_valid_at(now) else None

    def verification_secrets(self, now: datetime) -> dict[int, bytes]:
        """Secret by id of every key that verifies at `now`."""
        return {key.id: key.secret for key in self._keys.by_id.values() if key.is_valid_at(now)}

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return self._path.stem

    def ends(self, now: datetime) -> list[datetime]:
        """When the keys that verify at `now`, and not for ever, stop verifying; soonest first."""
        keys = self._keys.by_id.values()
        return sorted(key.not_after for key in keys if key.not_after is not None and key.is_valid_at(now))

    def reload(self) -> bool:
        """Read the file again if it changed. True when new keys are in use; a bad file is logged and not used."""
        try:
            stamp = _stamp_of(self._path)
            if stamp == self._stamp:
                return False
            self._stamp = stamp
            keys = _read(self._path)
        except KeyringInvalid as fault:
            _log.error("keyring_reload_refused", file=self._path.name, reason=str(fault))
            _refused.labels(self.name).inc()
            return False
        self._keys = keys
        _log.info("keyring_reloaded", file=self._path.name, signing=keys.signing, ids=sorted(keys.by_id))
        return True

    async def run(self) -> None:
        """Look at the file every `poll_seconds` until cancelled."""
        while True:
            await asyncio.sleep(self._poll_seconds)
            self.reload()


@before_rendering
def _show_keys() -> None:
    now = datetime.now(UTC)
    for keyring in _watched:
        _verifying.labels(keyring.name).set(len(keyring.verification_secrets(now)))
        ends = keyring.ends(now)
        if ends:
            _next_end.labels(keyring.name).set((ends[0] - now).total_seconds())
        else:
            _next_end.remove(keyring.name)


def create_keyring_file(path: str | Path) -> None:
    """Make a keyring with one fresh key, number 1, readable by its owner only. Raises FileExistsError."""
    if Path(path).exists():
        raise FileExistsError(Path(path).name)
    _write(Path(path), {"signing": 1, "keys": {"1": {"secret": secrets.token_hex(SECRET_BYTES), "not_after": None}}})


def add_key(path: str | Path, *, secret: bytes | None = None) -> int:
    """First step of a rotation: a new key that verifies but does not sign yet. Gives its id.

    secret: 32 bytes to add the same key to another copy of the file; fresh random ones otherwise.
    """
    document = _document(Path(path))
    key_id = max(int(name) for name in document["keys"]) + 1
    if key_id > KEY_ID_MAX:
        raise KeyringInvalid("key ids are used up")
    chosen = secrets.token_hex(SECRET_BYTES) if secret is None else secret.hex()
    document["keys"][str(key_id)] = {"secret": chosen, "not_after": None}
    _write(Path(path), document)
    return key_id


def promote_key(path: str | Path, key_id: int) -> None:
    """Second step: sign with `key_id` from now on. Every reader must know the key already.

    Refuses a key that is being retired: what it signs would stop verifying with it.
    """
    document = _document(Path(path))
    if document["keys"].get(str(key_id), {}).get("not_after") is not None:
        raise KeyringInvalid("a key that is being retired signs nothing new; add another")
    document["signing"] = key_id
    _write(Path(path), document)


def retire_key(path: str | Path, key_id: int, *, not_after: datetime) -> None:
    """Last step: `key_id` verifies until `not_after` (aware), then no more. Refuses the signing key."""
    document = _document(Path(path))
    if key_id == document["signing"]:
        raise KeyringInvalid("the signing key cannot be retired; promote another first")
    if str(key_id) not in document["keys"]:
        raise KeyringInvalid("there is no such key")
    if not_after.tzinfo is None:
        raise ValueError("not_after needs a time zone")
    document["keys"][str(key_id)]["not_after"] = not_after.astimezone(UTC).isoformat().replace("+00:00", "Z")
    _write(Path(path), document)


def _document(path: Path) -> Any:
    _read(path)
    return json.loads(path.read_bytes())


def _write(path: Path, document: Any) -> None:
    """Replace the file in one step, so that no reader ever sees half of it."""
    _parse(document)
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            json.dump(document, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            existing = path.stat()
            scratch.chmod(stat.S_IMODE(existing.st_mode))
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)


def _stamp_of(path: Path) -> tuple[int, int, int]:
    try:
        status = path.stat()
    except OSError:
        raise KeyringInvalid(f"{path.name} cannot be read") from None
    return status.st_mtime_ns, status.st_ino, status.st_size


def _warn_if_readable_by_all(path: Path) -> None:
    if path.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
        _log.warning("keyring_file_open_to_all", file=path.name, wanted_mode="0600")


def _read(path: Path) -> _Keys:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX + 1)
    except OSError:
        raise KeyringInvalid(f"{path.name} cannot be read") from None
    if len(text) > FILE_BYTES_MAX:
        raise KeyringInvalid(f"{path.name} is larger than {FILE_BYTES_MAX} bytes")
    try:
        document = json.loads(text)
    except ValueError:
        # `from None` matters: a decoding error carries the text, and with it the secrets.
        raise KeyringInvalid(f"{path.name} is not JSON") from None
    return _parse(document)


def _parse(document: Any) -> _Keys:
    if not isinstance(document, dict) or set(document) != {"signing", "keys"} or not isinstance(document["keys"], dict):
        raise KeyringInvalid('a keyring has exactly "signing" and "keys"')
    if not 1 <= len(document["keys"]) <= KEYS_MAX:
        raise KeyringInvalid(f"a keyring has 1 to {KEYS_MAX} keys")
    by_id = {key.id: key for key in (_parse_key(name, entry) for name, entry in document["keys"].items())}
    signing = document["signing"]
    if type(signing) is not int or signing not in by_id:
        raise KeyringInvalid('"signing" must be the number of one of the keys')
    return _Keys(signing, by_id)


def _parse_key(name: str, entry: Any) -> Key:
    if not (name.isascii() and name.isdigit() and str(int(name[:9])) == name and int(name) <= KEY_ID_MAX):
        raise KeyringInvalid(f"a key id is a number from 0 to {KEY_ID_MAX}")
    if not isinstance(entry, dict) or not {"secret"} <= set(entry) <= {"secret", "not_after"}:
        raise KeyringInvalid(f'key {name} has "secret" and "not_after", nothing else')
    try:
        secret = bytes.fromhex(entry["secret"])
    except (TypeError, ValueError):
        raise KeyringInvalid(f"the secret of key {name} is not hexadecimal") from None
    if len(secret) != SECRET_BYTES:
        raise KeyringInvalid(f"the secret of key {name} must be {SECRET_BYTES} bytes")
    return Key(int(name), secret, _parse_not_after(name, entry.get("not_after")))


def _parse_not_after(name: str, text: Any) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise KeyringInvalid(f"not_after of key {name} is not a time") from None
    if instant.tzinfo is None:
        raise KeyringInvalid(f"not_after of key {name} needs a time zone")
    return instant.astimezone(UTC)
