"""What the driver did: one JSON line before each attempt and one after it, on the disk before anything else happens.

The history is the only thing the model is told. An attempt without an answer, or with a 5xx, may have happened or
not; the model has to allow for both.
"""

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

UNKNOWN_FROM: Final = 500
STILL_AT_IT: Final = frozenset({"idempotency_in_progress"})


@dataclass(slots=True)
class Attempt:
    """One request. status None: no answer came, for the reason in `error`.

    started_at: Unix time before the history was written; sent_at, ended_at: of the request itself. retry_after: the
    header, None where there was none.
    """

    started_at: float
    ended_at: float | None = None
    status: int | None = None
    body: str = ""
    location: str | None = None
    error: str | None = None
    sent_at: float | None = None
    retry_after: str | None = None

    @property
    def is_answered(self) -> bool:
        """True when the platform said what it did, not that it is too busy or still at it."""
        if self.status is None or self.status >= UNKNOWN_FROM or self.status == 429:
            return False
        return not (self.status == 409 and self.json().get("code") in STILL_AT_IT)

    def json(self) -> Any:
        """The answer's body; {} where it is no JSON."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


@dataclass(slots=True)
class Operation:
    """One thing the driver wanted, with every attempt at it. facts: what was meant, in the model's words."""

    number: int
    kind: str
    facts: Mapping[str, Any]
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def answer(self) -> Attempt | None:
        """The answered attempt; there is at most one, and it is the last."""
        last = self.attempts[-1] if self.attempts else None
        return last if last is not None and last.is_answered else None

    @property
    def may_have_happened_before(self) -> bool:
        """True when an attempt before the answered one got no answer, and so may have had its effect."""
        return any(attempt.status != 429 for attempt in self.attempts if not attempt.is_answered)


class History:
    """The growing file. Lines are written and fsync'ed by one thread, in groups: a writer waits for its group."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._flushing: asyncio.Task[None] | None = None
        self._numbers = 0

    def next_number(self) -> int:
        """The next operation's number, from 1."""
        self._numbers += 1
        return self._numbers

    async def write(self, **line: Any) -> None:
        """Return once `line` is on the disk."""
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((json.dumps(line, separators=(",", ":")).encode() + b"\n", done))
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._flush())
        await done

    async def declare(self, what: str, **facts: Any) -> None:
        """Write down something that is simply so, such as an offer's terms."""
        await self.write(phase="fact", kind=what, at=time.time(), facts=facts)

    async def _flush(self) -> None:
        while self._waiting:
            group, self._waiting = self._waiting, []
            await asyncio.to_thread(self._append, b"".join(line for line, _ in group))
            for _, done in group:
                if not done.done():
                    done.set_result(None)

    def _append(self, lines: bytes) -> None:
        os.write(self._descriptor, lines)
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@dataclass(frozen=True, slots=True)
class Fact:
    """Something declared: `kind` and its facts, since `at`."""

    kind: str
    at: float
    facts: Mapping[str, Any]


def read_history(path: Path) -> list[Operation | Fact]:
    """Every operation and fact of a history file, in the order in which they began."""
    story: list[Operation | Fact] = []
    operations: dict[int, Operation] = {}
    for text in path.read_bytes().splitlines():
        line = json.loads(text)
        if line["phase"] == "fact":
            story.append(Fact(line["kind"], line["at"], line["facts"]))
        elif line["phase"] == "before":
            operation = operations.get(line["op"])
            if operation is None:
                operation = operations[line["op"]] = Operation(line["op"], line["kind"], line["facts"])
                story.append(operation)
            operation.attempts.append(Attempt(started_at=line["at"]))
        else:
            attempt = operations[line["op"]].attempts[line["attempt"]]
            attempt.ended_at, attempt.status, attempt.error = line["at"], line["status"], line["error"]
            attempt.body, attempt.location = line["body"], line["location"]
            attempt.sent_at, attempt.retry_after = line["sent_at"], line["retry_after"]
    return story
