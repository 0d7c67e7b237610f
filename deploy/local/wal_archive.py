"""Where PostgreSQL's log of changes goes besides its own folder, so that a backup can be brought to any later instant.

Every finished segment is compressed, synced and only then given its name; an unfinished one is closed after a minute,
which is what a lost disk can cost at most.
"""

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from deploy.local.child import OsUser
from deploy.local.problem import PlainProblem

ARCHIVE_TIMEOUT_SECONDS: Final = 60
"""A segment with changes in it is archived at the latest after this time: the most that is lost with a machine."""

_FOLDER = re.compile(r"/[A-Za-z0-9/._-]+", re.ASCII)
_OTHERS_MAY_READ_OR_WRITE: Final = 0o066

# A segment that is there already is fine if it is the same one: PostgreSQL may have died before it took note.
_KEEP: Final = (
    'set -e; if [ -e "$2.gz" ]; then gzip -dc "$2.gz" | cmp -s - "$1"; exit; fi; '
    'gzip -1c "$1" > "$2.part"; sync "$2.part"; mv "$2.part" "$2.gz"; sync "$(dirname "$2")"'
)
_FETCH: Final = 'test -e "$1.gz" && gzip -dc "$1.gz" > "$2"'


@dataclass(frozen=True, slots=True)
class BackupFolder:
    """base: one folder a base backup. wal: every segment since archiving began, written by PostgreSQL's account."""

    path: Path

    @property
    def base(self) -> Path:
        """Base backups, by the instant they were begun."""
        return self.path / "base"

    @property
    def wal(self) -> Path:
        """Segments, compressed."""
        return self.path / "wal"

    def create(self, server_user: OsUser | None) -> None:
        """Make it, closed to others. Raises: PlainProblem for a folder that others may read or write."""
        if not _FOLDER.fullmatch(str(self.path)):
            raise PlainProblem(
                f"{self.path} cannot hold backups.", "Give an absolute path of letters, digits and ./_- only."
            )
        try:
            if not self.path.exists():
                self.path.mkdir(parents=True)
                self.path.chmod(0o711 if server_user else 0o700)
            self.require_private()
            for folder in (self.base, self.wal):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o700)
            if server_user is not None:
                os.chown(self.wal, server_user.user_id, server_user.group_id)
        except OSError as error:
            raise PlainProblem(f"Cannot use {self.path} for backups: {error.strerror}.", "Set BACKUP_FOLDER.") from None

    def require_private(self) -> None:
        """A backup holds every secret of the network. Raises: PlainProblem when others may read or write the folder."""
        if self.path.stat().st_mode & _OTHERS_MAY_READ_OR_WRITE:
            raise PlainProblem(
                f"Others may read or write {self.path}, and a backup holds the network's keys.",
                f"chmod go-rw {self.path}",
            )

    def archive_settings(self) -> dict[str, str]:
        """PostgreSQL's settings that fill `wal`."""
        return {
            "archive_mode": "on",
            "archive_timeout": str(ARCHIVE_TIMEOUT_SECONDS),
            "archive_command": f"sh -c {shlex.quote(_KEEP)} sh %p {self.wal}/%f",
        }

    def restore_command(self) -> str:
        """How PostgreSQL asks for a segment back."""
        return f"sh -c {shlex.quote(_FETCH)} sh {self.wal}/%f %p"


def find_backup_folder(state: Path, environment: Mapping[str, str]) -> BackupFolder | None:
    """BACKUP_FOLDER, which the network on `state` remembers from then on; None where backups were never asked for."""
    remembered = state / "backup_folder"
    named = environment.get("BACKUP_FOLDER", "")
    if named:
        folder = Path(named).absolute()
        if not remembered.exists() or remembered.read_text().strip() != str(folder):
            remembered.write_text(f"{folder}\n")
        return BackupFolder(folder)
    return BackupFolder(Path(remembered.read_text().strip())) if remembered.exists() else None
