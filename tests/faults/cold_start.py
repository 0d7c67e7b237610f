"""T39: the platform's first start under hard conditions, and every start that cannot work: what it says, how it ends.

Each bad start is a folder and an environment in which `tributary up` must end by itself, with exit 1, a message of at
most LINES_MAX lines that says what to do, and no traceback. Importable: the scorecard and the tests judge the same.
"""

import fcntl
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from deploy.local.ports import free_port
from deploy.local.secret_files import ensure_secret_files
from deploy.local.state_folder import StateFolder

CHECKOUT: Final = Path(__file__).parents[2]
LINES_MAX: Final = 3
END_SECONDS_MAX: Final = 110.0
READY_SECONDS_MAX: Final = 240.0
STOP_SECONDS_MAX: Final = 40.0
POLL_SECONDS: Final = 0.05
NOBODY: Final = 65_534
NAMELESS: Final = 54_321
SMALL_DISK_BYTES: Final = 4 << 20


@dataclass(frozen=True, slots=True)
class BadStart:
    """One start that cannot work. says: must be in the message. prepare: makes it so, for as long as it is held.

    needs_root: a mount or another account. doctor_finds: the check that must say fail beforehand, "" where the doctor
    looks at a running network only.
    """

    name: str
    says: str
    prepare: Callable[[Path], AbstractContextManager[Mapping[str, str]]]
    needs_root: bool = False
    doctor_finds: str = ""
    prefix: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ended:
    """How a start ended. lines: of its message."""

    exit_code: int
    lines: list[str]
    took_seconds: float
    broken: list[str] = field(default_factory=list)


def judge_bad_start(bad: BadStart, home: Path) -> Ended:
    """Try it. broken: every promise that did not hold, empty when it failed as it should."""
    with bad.prepare(home) as told:
        began = time.monotonic()
        ran = run_tributary("up", home=home, told=told, prefix=bad.prefix)
        took_seconds = time.monotonic() - began
    lines = [line for line in ran.stderr.splitlines() if line.strip()]
    text = ran.stdout + ran.stderr
    rules = {
        f"exit {ran.returncode}, not 1": ran.returncode != 1,
        f"does not say {bad.says!r}": bad.says not in ran.stderr,
        f"{len(lines)} lines on standard error": not 1 <= len(lines) <= LINES_MAX,
        "a traceback": "Traceback" in text,
    }
    broken = [f"{bad.name}: {what}: {text.strip()[-600:]}" for what, holds in rules.items() if holds]
    return Ended(ran.returncode, lines, took_seconds, broken)


def is_possible(bad: BadStart) -> bool:
    """False where it takes rights that we have not."""
    return not bad.needs_root or os.geteuid() == 0


def run_tributary(
    *arguments: str, home: Path, told: Mapping[str, str], prefix: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """The operator's command to its end, with an environment of its own."""
    return subprocess.run(
        [*prefix, sys.executable, "-m", "deploy.cli.main", *arguments],
        cwd=CHECKOUT,
        env={**environment(home), **told},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=END_SECONDS_MAX,
    )


def environment(home: Path) -> dict[str, str]:
    """What a start is told where nothing else is wanted."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"TRIBUTARY_HOME": str(home), "BROKER": "embedded", "PORT": str(free_port())}


@contextmanager
def _port_taken(_home: Path) -> Iterator[Mapping[str, str]]:
    with socket.create_server(("127.0.0.1", free_port())) as other:
        yield {"PORT": str(other.getsockname()[1])}


@contextmanager
def _second_instance(home: Path) -> Iterator[Mapping[str, str]]:
    state = StateFolder(home)
    state.create()
    with state.lock() as held:
        assert fcntl.fcntl(held, fcntl.F_GETFD) >= 0
        yield {}


@contextmanager
def _disk(home: Path, options: str) -> Iterator[Mapping[str, str]]:
    home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(home)], check=True)
    try:
        yield {}
    finally:
        subprocess.run(["umount", str(home)], check=True)


@contextmanager
def _read_only_folder(home: Path) -> Iterator[Mapping[str, str]]:
    home.mkdir(mode=0o555)
    yield {}


@contextmanager
def _home_is_a_file(home: Path) -> Iterator[Mapping[str, str]]:
    home.write_text("not a folder")
    yield {}


def _bad_secret(name: str, content: bytes | None) -> Callable[[Path], AbstractContextManager[Mapping[str, str]]]:
    """content: None for something in its place that cannot be read as a file."""

    @contextmanager
    def prepare(home: Path) -> Iterator[Mapping[str, str]]:
        state = StateFolder(home)
        state.create()
        ensure_secret_files(state.keys)
        path = state.keys / name
        path.unlink()
        if content is None:
            path.mkdir()
        else:
            path.write_bytes(content)
            path.chmod(0o600)
        yield {}

    return prepare


def _programs(**scripts: str) -> Callable[[Path], AbstractContextManager[Mapping[str, str]]]:
    """A PATH that holds these programs and no others, and no Kafka fetched before."""

    @contextmanager
    def prepare(home: Path) -> Iterator[Mapping[str, str]]:
        folder = home.with_name(f"{home.name}-programs")
        folder.mkdir()
        for name, script in scripts.items():
            (folder / name).write_text(f"#!/bin/sh\n{script}\n")
            (folder / name).chmod(0o755)
        yield {"BROKER": "kafka", "PATH": str(folder), "XDG_CACHE_HOME": str(folder / "cache"), "JAVA_HOME": ""}

    return prepare


def _told(**variables: str) -> Callable[[Path], AbstractContextManager[Mapping[str, str]]]:
    return lambda _home: nullcontext(variables)


def _java(version: str) -> str:
    return f"echo 'openjdk version \"{version}\"' >&2"


BAD_STARTS: Final = (
    BadStart("port taken", "is taken by another program", _port_taken, doctor_finds="port of gateway-api"),
    BadStart("no such port", "PORT=99999 is not a port", _told(PORT="99999"), doctor_finds="port of gateway-api"),
    BadStart("second instance", "already runs here", _second_instance),
    BadStart("home is a file", "Cannot use the folder", _home_is_a_file, doctor_finds="folder"),
    BadStart(
        "read-only file system",
        "Read-only file system",
        lambda home: _disk(home, "ro,size=4m"),
        needs_root=True,
        doctor_finds="folder",
    ),
    BadStart(
        "folder of another account",
        "Permission denied",
        _read_only_folder,
        needs_root=True,  # in a namespace of its own, where we are not root any more
        prefix=("unshare", "--user", f"--map-user={NOBODY}", f"--map-group={NOBODY}"),
    ),
    BadStart(
        "an account without a name",
        "has no name on this machine",
        lambda home: _told()(home),
        needs_root=True,
        prefix=("unshare", "--user", f"--map-user={NAMELESS}", f"--map-group={NAMELESS}"),
    ),
    BadStart(
        "full disk",
        "The disk is full",
        lambda home: _disk(home, f"size={SMALL_DISK_BYTES}"),
        needs_root=True,
        doctor_finds="disk",
    ),
    BadStart("corrupt keyring", "is not JSON", _bad_secret("click.json", b"{"), doctor_finds="key click.json"),
    BadStart(
        "keyring without a key",
        "a keyring has 1 to",
        _bad_secret("sealing.json", b'{"signing": 1, "keys": {}}'),
        doctor_finds="key sealing.json",
    ),
    BadStart(
        "unreadable keyring", "cannot be read", _bad_secret("principal.json", None), doctor_finds="key principal.json"
    ),
    BadStart("empty secret", "is empty", _bad_secret("privacy_key", b""), doctor_finds="key privacy_key"),
    BadStart("no Java for Kafka", "needs Java 17 or later", _programs(), doctor_finds="java"),
    BadStart("old Java for Kafka", "is Java 11", _programs(java=_java("11.0.2")), doctor_finds="java"),
    BadStart("no Maven for Kafka", "fetched with Maven", _programs(java=_java("21.0.1")), doctor_finds="kafka"),
    BadStart("unknown log", "BROKER=rabbit is not known", _told(BROKER="rabbit")),
    BadStart(
        "a database nobody answers for",
        "No PostgreSQL answers",
        _told(
            **{
                f"DATABASE_URL_{name}": f"postgresql://someone:pass-word@127.0.0.1:1/{name.lower()}"
                for name in ("GATEWAY", "CLICKS", "CONVERSIONS", "COMMISSIONS")
            }
        ),
        doctor_finds="database clicks",
    ),
)


@dataclass(frozen=True, slots=True)
class ColdStart:
    """How the first start went. conditions: what was taken away from it. broken: promises that did not hold."""

    conditions: str
    ready_seconds: float
    stop_seconds: float
    broken: list[str]


def cold_start(home: Path) -> ColdStart:
    """Start on a folder that is not there yet, wait until the door serves, stop; the folder is left behind."""
    prefix, conditions = _hard_conditions()
    log = home.with_name(f"{home.name}.log")
    began = time.monotonic()
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*prefix, sys.executable, "-m", "deploy.cli.main", "up"],
            cwd=CHECKOUT,
            env={**environment(home), "PORT": "0"},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as running,
    ):
        try:
            while not (home / "demo.json").exists() or not (home / "public_url").exists():
                if running.poll() is not None or time.monotonic() - began > READY_SECONDS_MAX:
                    break
                time.sleep(POLL_SECONDS)
            ready_seconds = time.monotonic() - began
            was_ready = running.poll() is None and (home / "public_url").exists()
        finally:
            asked = time.monotonic()
            running.terminate()
            running.wait(STOP_SECONDS_MAX)
    text = log.read_text(errors="replace")
    broken = [] if was_ready else [f"not ready: {text[-2_000:]}"]
    broken += [f"exit {running.returncode} when stopped"] if running.returncode else []
    broken += ["a traceback"] if "Traceback" in text else []
    return ColdStart(conditions, ready_seconds, time.monotonic() - asked, broken)


def _hard_conditions() -> tuple[tuple[str, ...], str]:
    """A prefix that takes network and root away, and what of that is possible here.

    The account inside is a name for our own, so that what it must read (this checkout, Python) it can.
    """
    if os.geteuid() != 0:
        return (), "an empty folder, as an ordinary user; taking the network away needs root"
    inside = f'ip link set lo up && exec unshare --user --map-user={NOBODY} --map-group={NOBODY} "$@"'
    return ("unshare", "--net", "sh", "-c", inside, "sh"), "an empty folder, no network but loopback, not root"
