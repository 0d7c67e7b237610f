"""The network's own secrets on disk, made at the first start and never shown: keyrings, and the first admin key."""

import os
import secrets
import string
from collections.abc import Mapping
from pathlib import Path

from deploy.local.problem import PlainProblem
from deploy.local.roles import SecretFile
from shared.runtime.keyring import Keyring, KeyringInvalid, create_keyring_file

ALPHABET = string.ascii_lowercase + string.digits
KEY_ID_LENGTH = 8
KEY_SECRET_LENGTH = 32
PRIVACY_KEY_BYTES = 32

KEYRINGS = (SecretFile.CLICK_KEYRING, SecretFile.PRINCIPAL_KEYRING, SecretFile.SEALING_KEYRING)
FILE_NAMES: Mapping[SecretFile, str] = {
    SecretFile.CLICK_KEYRING: "click.json",
    SecretFile.PRINCIPAL_KEYRING: "principal.json",
    SecretFile.SEALING_KEYRING: "sealing.json",
    SecretFile.PRIVACY_KEY: "privacy_key",
    SecretFile.BOOTSTRAP_ADMIN_KEY: "bootstrap_admin_key",
}


def ensure_secret_files(folder: Path) -> dict[SecretFile, Path]:
    """Path of every secret file, created (mode 0600) where missing. What exists is never changed.

    Variables in the environment that name such a file win: then nothing is created for it.
    """
    paths: dict[SecretFile, Path] = {}
    for kind, name in FILE_NAMES.items():
        chosen = os.environ.get(kind.value)
        path = Path(chosen) if chosen else folder / name
        if not path.exists() and not chosen:
            if kind is SecretFile.BOOTSTRAP_ADMIN_KEY:
                _write(path, f"trb_admin_{_random(KEY_ID_LENGTH)}_{_random(KEY_SECRET_LENGTH)}")
            elif kind is SecretFile.PRIVACY_KEY:
                _write(path, secrets.token_hex(PRIVACY_KEY_BYTES))
            else:
                create_keyring_file(path)
        paths[kind] = path
    return paths


def check_secret_files(paths: Mapping[SecretFile, Path]) -> None:
    """Can every process use them? Raises: PlainProblem that names the first one it cannot, and never its content."""
    for kind, path in paths.items():
        try:
            if kind in KEYRINGS:
                Keyring.load(path)
                continue
            fault = "" if path.read_bytes().strip() else "is empty"
        except KeyringInvalid as invalid:
            fault = f"cannot be used ({invalid})"
        except OSError as error:
            fault = f"cannot be read ({error.strerror})"
        if fault:
            raise PlainProblem(
                f"The secret file {path} {fault}.",
                "Restore it from the backup: a new one does not open what that one did.",
            )


def _write(path: Path, secret: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secret)


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))
