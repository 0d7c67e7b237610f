"""What runs under the supervisor of a state folder, and whether each of it serves.

Processes are found in /proc where there is one, else with the program `ps`; addresses are in the state folder.
"""

import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from deploy.local.kafka import answers_api_versions
from deploy.local.postgres import PostgresServer
from deploy.local.problem import PlainProblem
from deploy.local.role_environment import LOOPBACK
from deploy.local.roles import ROLES
from deploy.local.state_folder import StateFolder

PROBE_SECONDS: Final = 4.0
"""Longer than the process gives its own checks, so that the reason arrives."""

ANSWER_BYTES_MAX: Final = 65_536
NOT_RUNNING: Final = "not running"
PROC: Final = Path("/proc")
PS_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Running:
    """One process or engine. pid, port: None where it has none now. why_not: empty when ready."""

    name: str
    pid: int | None
    port: int | None
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Child:
    """One process. arguments: the program first."""

    pid: int
    arguments: tuple[str, ...]


def find_running(state: StateFolder) -> list[Running]:
    """The engines of ours and the eight processes, in the order they start. Raises: PlainProblem where nothing runs."""
    supervisor = state.holder()
    if supervisor is None:
        raise PlainProblem("Nothing runs here.", "Start it first: tributary up")
    children = children_of(supervisor)
    addresses = _addresses(state)
    engines = [*_postgres(state, children), *_kafka(state, children)]
    with ThreadPoolExecutor(max_workers=len(ROLES)) as threads:
        roles = threads.map(lambda role: _role(role.name, role.module, children, addresses.get(role.name, "")), ROLES)
        return [*engines, *roles]


def children_of(parent: int, *, proc: Path = PROC) -> list[Child]:
    """The direct children of a process. Raises: PlainProblem where there is neither `proc` nor the program `ps`."""
    return list(_children_in(proc, parent) if (proc / "self").exists() else _children_by_ps(parent))


def _children_by_ps(parent: int) -> Iterator[Child]:
    try:
        listed = subprocess.run(
            ["ps", "-axww", "-o", "pid=,ppid=,command="], capture_output=True, check=True, timeout=PS_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as fault:
        raise PlainProblem(
            f"Which processes run cannot be seen here: no /proc, and `ps` failed ({type(fault).__name__}).",
            "`tributary doctor` works everywhere.",
        ) from None
    for line in listed.stdout.decode(errors="replace").splitlines():
        pid, parent_pid, *arguments = line.split()
        if int(parent_pid) == parent:
            yield Child(int(pid), tuple(arguments))


def _children_in(proc: Path, parent: int) -> Iterator[Child]:
    for folder in proc.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            # the second field, the program's name, may contain spaces and brackets
            parent_pid = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if parent_pid == parent:
                arguments = (folder / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
                yield Child(int(folder.name), tuple(arguments))
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked


def _postgres(state: StateFolder, children: list[Child]) -> Iterator[Running]:
    if not (state.path / "postgres.location").exists():
        return
    server = PostgresServer.at(state.path)
    child = _find(children, "-D", str(server.home.data))
    why_not = NOT_RUNNING if child is None else ("" if server.is_ready() else "refuses connections")
    yield Running("postgres", child.pid if child else None, None, why_not)


def _kafka(state: StateFolder, children: list[Child]) -> Iterator[Running]:
    remembered = state.kafka / "ports"
    if not remembered.exists():
        return
    child, port = _find(children, "kafka.Kafka"), int(remembered.read_text().split()[0])
    why_not = NOT_RUNNING if child is None else ("" if answers_api_versions(LOOPBACK, port) else "does not answer")
    yield Running("kafka", child.pid if child else None, port, why_not)


def _role(name: str, module: str, children: list[Child], url: str) -> Running:
    child = _find(children, "-m", module)
    if child is None:
        return Running(name, None, None, NOT_RUNNING)
    port = urlsplit(url).port if url else None
    if port is None:
        return Running(name, child.pid, None, "its address is not written yet: it is just starting")
    return Running(name, child.pid, port, _why_not_ready(url))


def _find(children: list[Child], *words: str) -> Child | None:
    """The child whose arguments end with, or contain side by side, these words."""
    for child in children:
        if any(child.arguments[start : start + len(words)] == words for start in range(len(child.arguments))):
            return child
    return None


def _addresses(state: StateFolder) -> dict[str, str]:
    try:
        addresses: dict[str, str] = json.loads(state.addresses.read_bytes())
    except (FileNotFoundError, ValueError):
        return {}  # starting, or written at this moment
    return addresses


def _why_not_ready(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # never through a proxy of the caller's
    try:
        with opener.open(f"{url}/readyz", timeout=PROBE_SECONDS):
            return ""
    except urllib.error.HTTPError as refusal:
        with refusal:
            return _reasons(refusal.read(ANSWER_BYTES_MAX)) or f"answers {refusal.code}"
    except OSError as error:
        return f"does not answer: {getattr(error, 'reason', None) or type(error).__name__}"


def _reasons(answer: bytes) -> str:
    try:
        problems = json.loads(answer)["problems"]
        return "; ".join(f"{name}: {reason}" for name, reason in problems.items())
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
