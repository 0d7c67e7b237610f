"""Requests to the public port: written down before and after, repeated until the platform says what it did."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

import aiohttp
from yarl import URL

from tests.demo.history import Attempt, History, Operation

CONNECTIONS: Final = 32
ATTEMPT_TIMEOUT_SECONDS: Final = 6.0
GIVE_UP_AFTER_SECONDS: Final = 45.0
"""Longer than any one process takes to come back, PostgreSQL after a kill and Kafka among them."""
FIRST_PAUSE_SECONDS: Final = 0.05
LONGEST_PAUSE_SECONDS: Final = 1.0


class NoAnswer(Exception):
    """The platform gave no usable answer for GIVE_UP_AFTER_SECONDS."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it goes out. target: path and query, sent as they are. body: sent as it is."""

    method: str
    target: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


def api_request(method: str, target: str, key: str, content: object = None, **headers: str) -> Request:
    """A request to `/v1` with an API key and a JSON body."""
    body = None if content is None else json.dumps(content).encode()
    kind = {} if body is None else {"Content-Type": "application/json"}
    return Request(method, target, {"Authorization": f"Bearer {key}", **kind, **headers}, body)


class Sender:
    """Sends, at most CONNECTIONS requests at a time, and keeps the history. patience_seconds: before giving up."""

    def __init__(
        self, public_url: str, history: History, random: Random, *, patience_seconds: float = GIVE_UP_AFTER_SECONDS
    ) -> None:
        self.patience_seconds = patience_seconds
        self._public_url = public_url.rstrip("/")
        self._history = history
        self._random = random
        self._places = asyncio.Semaphore(CONNECTIONS)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=CONNECTIONS),
            timeout=aiohttp.ClientTimeout(total=ATTEMPT_TIMEOUT_SECONDS),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        self.unanswered = 0

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def once(self, kind: str, request: Request, **facts: Any) -> Operation:
        """Send one request once: the caller decides what an unanswered one means."""
        operation = Operation(self._history.next_number(), kind, facts)
        await self._attempt(operation, request)
        return operation

    async def until_answered(self, kind: str, make: Callable[[], Request], **facts: Any) -> Operation:
        """Send what `make` makes, anew for each attempt, until the platform says what it did. Raises NoAnswer."""
        operation = Operation(self._history.next_number(), kind, facts)
        give_up_at = time.monotonic() + self.patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            attempt, retry_after = await self._attempt(operation, make())
            if attempt.is_answered:
                return operation
            if time.monotonic() > give_up_at:
                raise NoAnswer(f"{kind}: {len(operation.attempts)} attempts, last: {attempt.status or attempt.error}")
            await asyncio.sleep(max(retry_after, pause * self._random.uniform(0.5, 1.5)))
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _attempt(self, operation: Operation, request: Request) -> tuple[Attempt, float]:
        async with self._places:
            place = len(operation.attempts)
            attempt = Attempt(started_at=time.time())
            operation.attempts.append(attempt)
            await self._history.write(
                phase="before",
                op=operation.number,
                attempt=place,
                kind=operation.kind,
                at=attempt.started_at,
                facts=operation.facts,
                method=request.method,
                target=request.target,
                sent=None if request.body is None else request.body.decode(),
            )
            retry_after = await self._exchange(attempt, request)
            await self._history.write(
                phase="after",
                op=operation.number,
                attempt=place,
                at=attempt.ended_at,
                sent_at=attempt.sent_at,
                retry_after=attempt.retry_after,
                status=attempt.status,
                location=attempt.location,
                body=attempt.body,
                error=attempt.error,
            )
        self.unanswered += not attempt.is_answered and operation.kind != "click_prefetch"
        return attempt, retry_after

    async def _exchange(self, attempt: Attempt, request: Request) -> float:
        attempt.sent_at = time.time()
        try:
            async with self._session.request(
                request.method,
                URL(self._public_url + request.target, encoded=True),
                headers=request.headers,
                data=request.body,
                allow_redirects=False,
            ) as response:
                attempt.body = (await response.read()).decode(errors="replace")
                attempt.status, attempt.location = response.status, response.headers.get("Location")
                attempt.retry_after = response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            attempt.error = type(error).__name__
        attempt.ended_at = time.time()
        return float(attempt.retry_after or 0.0)
