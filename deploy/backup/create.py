"""A base backup of a running network, and how its archive gets on."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import asyncpg

from deploy.backup.secret_copies import write_secrets
from deploy.local.child import ChildCommand, run_to_end
from deploy.local.postgres import PORT, SUPERUSER, PostgresServer
from deploy.local.problem import PlainProblem
from deploy.local.state_folder import StateFolder
from deploy.local.wal_archive import ARCHIVE_TIMEOUT_SECONDS, BackupFolder

BASE_BACKUP_SECONDS: Final = 6 * 3_600.0
LATE_SECONDS: Final = 3 * ARCHIVE_TIMEOUT_SECONDS
DESCRIPTION: Final = "backup.json"


@dataclass(frozen=True, slots=True)
class BaseBackup:
    """One finished base backup. finished_at: no earlier instant can be restored from it."""

    folder: Path
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True)
class ArchiveState:
    """What PostgreSQL says of its archive. waiting: segments that are finished and not archived yet."""

    archived: int
    failed: int
    waiting: int
    last_archived_at: datetime | None
    last_failed_at: datetime | None

    @property
    def problem(self) -> str | None:
        """Why changes are not safe now, or None."""
        if self.last_failed_at and (self.last_archived_at is None or self.last_failed_at > self.last_archived_at):
            return f"the last attempt to archive failed at {self.last_failed_at:%Y-%m-%dT%H:%M:%SZ}"
        if self.waiting and (datetime.now(UTC) - (self.last_archived_at or _LONG_AGO)).total_seconds() > LATE_SECONDS:
            return f"{self.waiting} segments wait to be archived"
        return None


_LONG_AGO: Final = datetime(2020, 1, 1, tzinfo=UTC)


def create_base_backup(
    state: StateFolder, backups: BackupFolder, environment: Mapping[str, str], *, seal_with: str | None
) -> BaseBackup:
    """Copy the running cluster and the network's secrets; checked against its manifest. Raises: PlainProblem.

    A backup that was cut off leaves a folder without description, which nothing restores from.
    """
    server = PostgresServer.at(state.path)
    backups.create(server.home.user)
    started_at = datetime.now(UTC)
    folder = backups.base / f"{started_at:%Y%m%dT%H%M%S.%fZ}"
    folder.mkdir(mode=0o700)
    try:
        tools, sockets = server.home.binaries, str(server.home.sockets)
        where = ("-h", sockets, "-p", str(PORT), "-U", SUPERUSER)
        how = ("--format=tar", "--compress=client-gzip:1", "--wal-method=stream", "--checkpoint=fast")
        _run(
            (str(tools / "pg_basebackup"), *where, *how, "--manifest-checksums=SHA256", "-D", str(folder / "cluster")),
            "The base backup failed.",
        )
        _run(
            (str(tools / "pg_verifybackup"), "--format=tar", "--no-parse-wal", str(folder / "cluster")),
            "The base backup does not match its own manifest.",
        )
        write_secrets(folder, state, environment, seal_with=seal_with)
    except PlainProblem:
        shutil.rmtree(folder)
        raise
    finished_at = datetime.now(UTC)
    times = {"started_at": started_at.isoformat(), "finished_at": finished_at.isoformat()}
    (folder / DESCRIPTION).write_text(json.dumps(times) + "\n")
    return BaseBackup(folder, started_at, finished_at)


def find_base_backups(backups: BackupFolder) -> list[BaseBackup]:
    """Those that were finished, oldest first."""
    found = []
    for description in sorted(backups.base.glob(f"*/{DESCRIPTION}")):
        times = json.loads(description.read_text())
        started_at, finished_at = (datetime.fromisoformat(times[name]) for name in ("started_at", "finished_at"))
        found.append(BaseBackup(description.parent, started_at, finished_at))
    return found


async def read_archive_state(state: StateFolder) -> ArchiveState:
    """As the running server tells it. Raises: PlainProblem where none runs."""
    try:
        connection = await asyncpg.connect(PostgresServer.at(state.path).admin_url(), timeout=5)
    except OSError:
        raise PlainProblem("No PostgreSQL runs here.", "Start the network: make run") from None
    try:
        row = await connection.fetchrow(
            "SELECT archived_count AS archived, failed_count AS failed, last_archived_time AS last_archived_at,"
            " last_failed_time AS last_failed_at, (SELECT count(*) FROM pg_ls_archive_statusdir()"
            " WHERE name LIKE '%.ready')::int AS waiting FROM pg_stat_archiver"
        )
    finally:
        await connection.close()
    return ArchiveState(**dict(row))


def _run(argv: tuple[str, ...], failure: str) -> None:
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    done = run_to_end(ChildCommand(argv=argv, environment=environment), timeout_seconds=BASE_BACKUP_SECONDS)
    if done.returncode != 0:
        raise PlainProblem(failure, done.stdout.decode(errors="replace").strip()[-2_000:])
