"""The way back: a base backup, the changes since, up to an instant or to the last one kept, in a new folder."""

import asyncio
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import asyncpg

from deploy.backup.create import BaseBackup, find_base_backups
from deploy.backup.secret_copies import read_secrets
from deploy.local.postgres import PostgresServer, RunningPostgres
from deploy.local.postgres_home import forget_home
from deploy.local.problem import PlainProblem
from deploy.local.state_folder import StateFolder
from deploy.local.wal_archive import BackupFolder

PROMOTION_SECONDS: Final = 6 * 3_600.0
STRANGERS_MAX: Final = 1_000
_SETTINGS: Final = "postgresql.auto.conf"
_MARK: Final = "# recovery, taken out again when it has ended"
_STOPPED_SHORT: Final = "recovery ended before configured recovery target was reached"


@dataclass(frozen=True, slots=True)
class Restored:
    """What was found in the restored cluster. until: the last commit in it, None where nothing followed the base.

    verification: the ledger's proof in one line, or what is wrong with it. strangers: credited conversions that the
    conversions service does not know (at most STRANGERS_MAX): its database was set back behind the log.
    """

    base: BaseBackup
    until: datetime | None
    is_proved: bool
    verification: str
    strangers: Sequence[str]


def restore(backups: BackupFolder, into: StateFolder, *, to: datetime | None, unseal_with: str | None) -> Restored:
    """Bring the network as it was at `to` (None: at the last change that was archived) up in the new folder `into`.

    Everything acknowledged before `to` is there and nothing after. Leaves a stopped network, ready for `up`; removes
    what it made when it fails. Raises: PlainProblem.
    """
    backups.require_private()
    base = _choose(backups, to)
    if into.path.exists() and any(into.path.iterdir()):
        raise PlainProblem(f"{into.path} is not empty.", "Restore into a new folder.")
    try:
        into.create()
        read_secrets(base.folder, into, unseal_with=unseal_with)
        server = PostgresServer.at(into.path)
        _unpack(base, server)
        _ask_for_recovery(server, backups, to)
        return _recover(base, server, into)
    except BaseException:
        forget_home(into.path)
        shutil.rmtree(into.path, ignore_errors=True)
        raise


def _choose(backups: BackupFolder, to: datetime | None) -> BaseBackup:
    bases = find_base_backups(backups)
    if not bases:
        raise PlainProblem(f"There is no base backup in {backups.base}.", "Make one: tributary backup create")
    fitting = [base for base in bases if to is None or base.finished_at <= to]
    if not fitting:
        raise PlainProblem(
            f"The oldest base backup was finished at {bases[0].finished_at.isoformat()}.", "Give a later instant."
        )
    return fitting[-1]


def _unpack(base: BaseBackup, server: PostgresServer) -> None:
    home = server.home
    home.create_folders()
    for archive, folder in (("base.tar.gz", home.data), ("pg_wal.tar.gz", home.data / "pg_wal")):
        with tarfile.open(base.folder / "cluster" / archive) as members:
            members.extractall(folder, filter="data")
    for path in (home.data, *home.data.rglob("*")):
        home.give_to_server(path)
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)


def _ask_for_recovery(server: PostgresServer, backups: BackupFolder, to: datetime | None) -> None:
    command = backups.restore_command().replace("'", "''")
    lines = [_MARK, f"restore_command = '{command}'", "recovery_target_action = 'promote'"]
    if to is not None:
        lines.append(f"recovery_target_time = '{to.isoformat()}'")
    settings, signal = server.home.data / _SETTINGS, server.home.data / "recovery.signal"
    with settings.open("a") as file:
        file.write("\n".join(["", *lines, ""]))
    signal.touch(mode=0o600)
    for path in (settings, signal):
        server.home.give_to_server(path)


def _recover(base: BaseBackup, server: PostgresServer, into: StateFolder) -> Restored:
    log_file = into.logs / "restore.log"
    running = RunningPostgres(server, log_file=log_file)
    try:
        try:
            running.start()
            until = asyncio.run(_wait_for_promotion(server))
        except (PlainProblem, OSError, asyncpg.PostgresError) as fault:
            raise _explain(log_file, fault) from None
        text = (server.home.data / _SETTINGS).read_text()
        (server.home.data / _SETTINGS).write_text(text[: text.index(_MARK)])
        is_proved, verification = _verify(server)
        strangers = asyncio.run(_find_strangers(server))
    finally:
        running.stop()
    return Restored(base, until, is_proved, verification, strangers)


async def _wait_for_promotion(server: PostgresServer) -> datetime | None:
    connection = await asyncpg.connect(server.admin_url(), timeout=10)
    try:
        async with asyncio.timeout(PROMOTION_SECONDS):
            while await connection.fetchval("SELECT pg_is_in_recovery()"):
                await asyncio.sleep(0.1)
        found: datetime | None = await connection.fetchval("SELECT pg_last_xact_replay_timestamp()")
        return found
    finally:
        await connection.close()


def _explain(log_file: Path, fault: Exception) -> PlainProblem:
    said = log_file.read_text(errors="replace") if log_file.exists() else ""
    if _STOPPED_SHORT in said:
        return PlainProblem(
            "The archive ends before that instant.", "Give an earlier one, or leave --to out to restore all there is."
        )
    return PlainProblem("PostgreSQL could not recover.", f"{said[-2_000:]}\n{type(fault).__name__}")


def _verify(server: PostgresServer) -> tuple[bool, str]:
    """Whether the ledger proves, and the line that says so."""
    url = server.url(login="tributary_commissions", database="tributary_commissions")
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "PYTHONPATH", "VIRTUAL_ENV") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-m", "services.commissions.verify", "--recompute"],
        check=False,
        env=kept | {"DATABASE_URL_COMMISSIONS": url, "BROKER": "embedded"},
        capture_output=True,
        text=True,
    )
    return done.returncode == 0, (done.stdout + done.stderr).strip()[-2_000:]


async def _find_strangers(server: PostgresServer) -> list[str]:
    """Conversions that the ledger has credited and the conversions service does not know, or not that far."""
    credited = await _fetch(
        server, "commissions", "SELECT conversion_id, max(version) FROM commission_step GROUP BY conversion_id"
    )
    known = dict(await _fetch(server, "conversions", "SELECT id, version FROM conversion"))
    strangers = [str(conversion_id) for conversion_id, version in credited if known.get(conversion_id, 0) < version]
    return strangers[:STRANGERS_MAX]


async def _fetch(server: PostgresServer, service: str, query: str) -> list[tuple[object, int]]:
    connection = await asyncpg.connect(server.admin_url(f"tributary_{service}"), timeout=10)
    try:
        return [(row[0], row[1]) for row in await connection.fetch(query)]
    finally:
        await connection.close()
