"""What the doctor asks of the machine: Python, ports, disk, key files. Needs nothing to run."""

import os
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from deploy.cli.finding import Finding, fail, ok, warn
from deploy.local.kafka_install import KafkaUnavailable, cache_folder, find_java, has_kafka
from deploy.local.ports import is_free
from deploy.local.role_environment import LOOPBACK
from deploy.local.roles import PUBLIC_PORT_DEFAULT, PUBLIC_ROLE, ROLES, SecretFile
from deploy.local.secret_files import FILE_NAMES, KEYRINGS
from deploy.local.state_folder import StateFolder
from shared.runtime.keyring import Keyring, KeyringInvalid

PYTHON_MIN: Final = (3, 11)
DISK_FAIL_BYTES: Final = 1 << 30
"""PostgreSQL alone keeps up to a gigabyte of write-ahead log."""

DISK_WARN_BYTES: Final = 5 << 30


def check_python() -> Finding:
    """Is this interpreter new enough?"""
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < PYTHON_MIN:
        return fail("python", f"Python {version}", "Install Python 3.11 or later and delete .venv.")
    return ok("python", f"Python {version}")


def check_ports(state: StateFolder, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Are the chosen ports free? Asked only while nothing runs here: then they are ours."""
    if state.holder() is not None:
        yield ok("ports", "in use by the network that runs here")
        return
    for role in ROLES:
        is_public = role.name == PUBLIC_ROLE
        chosen = environment.get(role.port_variable) or (str(PUBLIC_PORT_DEFAULT) if is_public else "")
        if not chosen or chosen == "0":
            continue  # it will take a free one
        check = f"port of {role.name}"
        if not chosen.isdigit() or int(chosen) > 65_535:
            yield fail(check, f"{role.port_variable}={chosen} is not a port", "Use a number from 1 to 65535.")
        elif is_free((environment.get("HOST") or LOOPBACK) if is_public else LOOPBACK, int(chosen)):
            yield ok(check, f"{chosen} is free")
        else:
            yield fail(check, f"{chosen} is taken by another program", f"Set {role.port_variable} to another port.")


def check_disk(state: StateFolder) -> Finding:
    """Is there room where the state folder is, or will be?"""
    place = next(folder for folder in (state.path, *state.path.parents) if folder.exists())
    free = shutil.disk_usage(place).free
    says = f"{free / (1 << 30):.1f} GiB free at {place}"
    if free < DISK_FAIL_BYTES:
        return fail("disk", says, "Make room before PostgreSQL stops, or move TRIBUTARY_HOME.")
    if free < DISK_WARN_BYTES:
        return warn("disk", says, "Make room, or move TRIBUTARY_HOME.")
    return ok("disk", says)


def check_folder(state: StateFolder) -> Finding:
    """May we write where the state folder is, or will be?"""
    place = next(folder for folder in (state.path, *state.path.parents) if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return fail("folder", f"{place} cannot be written", "Set TRIBUTARY_HOME to a folder that can be.")
    return ok("folder", f"{place} can be written")


def check_kafka_program(environment: Mapping[str, str]) -> Iterator[Finding]:
    """Could a Kafka of our own run here? Asked only where it is insisted on: `auto` does without."""
    if environment.get("BROKER") != "kafka" or environment.get("KAFKA_BOOTSTRAP_SERVERS"):
        return
    try:
        java = find_java()
        yield ok("java", str(java))
    except KafkaUnavailable as missing:
        yield fail("java", missing.what, missing.remedy)
    if has_kafka(cache_folder()) or shutil.which("mvn"):
        yield ok("kafka", "fetched already" if has_kafka(cache_folder()) else "Maven will fetch it")
    else:
        yield fail("kafka", "not fetched yet, and Maven (`mvn`) is not installed", "Install Maven, or BROKER=embedded.")


def check_keys(state: StateFolder, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Is every secret file there, closed to others, and usable?"""
    if not state.keys.exists() and not any(environment.get(kind.value) for kind in FILE_NAMES):
        yield warn("keys", "none yet", "The first `tributary up` makes them.")
        return
    for kind, name in FILE_NAMES.items():
        yield _check_key_file(kind, Path(environment.get(kind.value) or state.keys / name))


def _check_key_file(kind: SecretFile, path: Path) -> Finding:
    check = f"key {path.name}"
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
        if kind in KEYRINGS:
            Keyring.load(path)
        elif not path.read_bytes().strip():
            return fail(check, "empty", f"Restore {path} from the backup.")
    except FileNotFoundError:
        return fail(check, "missing", f"Restore {path} from the backup: a new one does not open what the old one did.")
    except (OSError, KeyringInvalid) as fault:
        says = str(fault) if isinstance(fault, KeyringInvalid) else type(fault).__name__
        return fail(check, says, f"Make {path} readable, or restore it from the backup.")
    if mode & 0o077:
        return fail(check, f"mode {mode:04o}: open to others", f"chmod 600 {path}")
    return ok(check, f"usable, mode {mode:04o}")
