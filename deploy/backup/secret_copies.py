"""The network's secrets inside a backup: a tar archive that nobody else may read, or sealed by the operator's program.

Without its keyrings a restored network knows no click ID, no merchant's secret and no principal.
"""

import io
import os
import shlex
import subprocess
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.local.problem import PlainProblem
from deploy.local.secret_files import FILE_NAMES
from deploy.local.state_folder import StateFolder

PLAIN: Final = "secrets.tar"
SEALED: Final = "secrets.tar.sealed"
SEAL_SECONDS: Final = 120.0
SECRETS_BYTES_MAX: Final = 10_000_000


def write_secrets(folder: Path, state: StateFolder, environment: Mapping[str, str], *, seal_with: str | None) -> Path:
    """Keep every secret file, the log's identity and the demo's keys in `folder`; gives the file written, mode 0600.

    seal_with: a program that encrypts standard input to standard output, such as `age -r …` or `gpg -e -r …`. Only
    what it gives is written. Raises: PlainProblem.
    """
    content = _archive(state, environment)
    name = PLAIN if seal_with is None else SEALED
    if seal_with is not None:
        content = _through(seal_with, content)
    path = folder / name
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    return path


def read_secrets(folder: Path, state: StateFolder, *, unseal_with: str | None) -> None:
    """Put them where a network on `state` looks for them, mode 0600. Raises: PlainProblem."""
    if (folder / SEALED).exists():
        if unseal_with is None:
            raise PlainProblem("The backup's secrets are sealed.", "Give --unseal-with, the program that opens them.")
        content = _through(unseal_with, (folder / SEALED).read_bytes())
    else:
        content = (folder / PLAIN).read_bytes()
    places = {f"keys/{name}": state.keys / name for name in FILE_NAMES.values()}
    places |= {"broker": state.broker_identity, "demo.json": state.demo}
    try:
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            for member in archive:
                source = archive.extractfile(member)
                if member.name in places and source is not None:
                    _write(places[member.name], source.read(SECRETS_BYTES_MAX))
    except tarfile.TarError:
        raise PlainProblem("The backup's secrets cannot be read.", "Is --unseal-with the right program?") from None


def _archive(state: StateFolder, environment: Mapping[str, str]) -> bytes:
    files = {
        f"keys/{name}": Path(environment.get(kind.value) or state.keys / name) for kind, name in FILE_NAMES.items()
    }
    files |= {"broker": state.broker_identity, "demo.json": state.demo}
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name, path in files.items():
            if path.exists():
                archive.add(path, arcname=name, recursive=False)
    return content.getvalue()


def _through(program: str, content: bytes) -> bytes:
    try:
        done = subprocess.run(
            shlex.split(program), input=content, capture_output=True, check=True, timeout=SEAL_SECONDS
        )
    except (OSError, ValueError, subprocess.SubprocessError) as fault:
        raise PlainProblem(f"`{program}` did not work ({type(fault).__name__}).", "Try it by hand.") from None
    return done.stdout


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
