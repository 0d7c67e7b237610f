"""One tidy log of many processes: a line each on the terminal with who said it, and a capped file per process."""

import contextlib
import json
import sys
import threading
from pathlib import Path
from typing import IO

from shared.runtime.tracing import TRACE_LOGGER

FILE_BYTES_MAX = 5_000_000
LINE_BYTES_MAX = 16_384
NAME_WIDTH = 18
COLOURS = (36, 32, 33, 35, 34, 96, 92, 93, 95, 94)  # ANSI foreground colours that read on dark and light
SAID_ELSEWHERE = frozenset({"event", "level", "timestamp", "service", "role", "logger", "at"})


class MergedLog:
    """Takes lines from any thread. Files are `<name>.log`, with one older `<name>.log.1`, FILE_BYTES_MAX each.

    silent: nothing on the terminal, only files.
    """

    def __init__(self, folder: Path, *, screen: IO[str] = sys.stdout, silent: bool = False) -> None:
        self._folder = folder
        self._silent = silent
        self._screen = screen
        self._coloured = screen.isatty()
        self._lock = threading.Lock()
        self._colours: dict[str, int] = {}

    def follow(self, name: str, stream: IO[bytes]) -> threading.Thread:
        """Copy the stream line by line until it ends, in a thread of its own."""
        thread = threading.Thread(target=self._copy, args=(name, stream), name=f"log-{name}", daemon=True)
        thread.start()
        return thread

    def say(self, name: str, line: str) -> None:
        """One line from `name`; JSON lines are short on the terminal, whole in the file; routine ones only there."""
        with self._lock:
            self._write_file(name, line)
            if self._silent or is_routine(line):
                return
            with contextlib.suppress(OSError, ValueError):  # a closed terminal must not stop the platform
                self._screen.write(f"{self._prefix(name)} {readable(line)}\n")
                self._screen.flush()

    def last_lines(self, name: str, *, count: int) -> list[str]:
        """The newest lines of one process, for a message about its end."""
        path = self._path(name)
        if not path.exists():
            return []
        return [readable(line) for line in path.read_text(errors="replace").splitlines()[-count:]]

    def _copy(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(LINE_BYTES_MAX):
                text = line.decode(errors="replace").rstrip()
                if text:
                    self.say(name, text)

    def _write_file(self, name: str, line: str) -> None:
        path = self._path(name)
        with contextlib.suppress(OSError):  # a full disk is reported by those whose data it holds
            if path.exists() and path.stat().st_size > FILE_BYTES_MAX:
                path.replace(path.with_suffix(".log.1"))
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.log"

    def _prefix(self, name: str) -> str:
        padded = f"{name:<{NAME_WIDTH}} |"
        if not self._coloured:
            return padded
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{padded}\x1b[0m"


def readable(line: str) -> str:
    """A JSON log line as `level event key=value …`; any other line with its control characters taken out."""
    if line.startswith("{"):
        with contextlib.suppress(ValueError, AttributeError):
            entry = json.loads(line)
            if "event" in entry:
                rest = " ".join(f"{key}={_short(value)}" for key, value in entry.items() if key not in SAID_ELSEWHERE)
                line = f"{entry.get('level', 'info'):<7} {entry['event']} {rest}".rstrip()
    return "".join(character if character.isprintable() else " " for character in line)


def is_routine(line: str) -> bool:
    """Requests that went well, and steps of traces, are kept in the files; on the terminal they would bury the rest."""
    if not line.startswith("{") or ('"http_request"' not in line and f'"{TRACE_LOGGER}"' not in line):
        return False
    with contextlib.suppress(ValueError, AttributeError):
        entry = json.loads(line)
        is_success = entry.get("event") == "http_request" and int(entry.get("status", 500)) < 400
        return is_success or entry.get("logger") == TRACE_LOGGER
    return False


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
