"""Calls the public port as anyone would, a few at a time, and says which call was refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import aiohttp

Item = TypeVar("Item")
Answer = TypeVar("Answer")

AT_ONCE = 16
LATER = frozenset({429, 503})
TRIES_MAX = 60
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"


class MonthFailed(Exception):
    """The month went otherwise than it should."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One API key, or nobody's: key ""."""

    session: aiohttp.ClientSession
    public_url: str
    key: str

    async def call(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        """The answer's JSON, or its bytes where it is none. Raises MonthFailed for a refusal."""
        headers = {"User-Agent": BROWSER}
        if self.key:
            headers["Authorization"] = f"Bearer {self.key}"
        parameters = {name: str(value) for name, value in query.items()}
        for _ in range(TRIES_MAX):
            async with self.session.request(
                method, f"{self.public_url}{path}", json=body, params=parameters, headers=headers
            ) as answer:
                if answer.status in LATER:  # nothing was taken: the same again is the same order
                    await asyncio.sleep(float(answer.headers.get("Retry-After", "1")))
                    continue
                if answer.status >= 400:
                    raise MonthFailed(f"{method} {path}: {answer.status} {(await answer.text())[:500]}")
                if answer.content_type == "application/json":
                    return await answer.json()
                return await answer.read()
        raise MonthFailed(f"{method} {path}: turned away {TRIES_MAX} times")

    async def post(self, path: str, body: Any = None, **query: Any) -> Any:
        """A POST."""
        return await self.call("POST", path, body, **query)

    async def get(self, path: str, **query: Any) -> Any:
        """A GET."""
        return await self.call("GET", path, **query)

    async def pages(self, path: str, **query: Any) -> AsyncIterator[dict[str, Any]]:
        """Every item of a paged list."""
        cursor: dict[str, str] = {}
        while True:
            page = await self.get(path, limit=200, **query, **cursor)
            for item in page["items"]:
                yield item
            if page["next_cursor"] is None:
                return
            cursor = {"cursor": page["next_cursor"]}


async def each(items: Iterable[Item], work: Callable[[Item], Awaitable[Answer]]) -> list[Answer]:
    """`work` on every item, AT_ONCE at a time, in order of the items."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Item) -> Answer:
        async with gate:
            return await work(item)

    return list(await asyncio.gather(*(one(item) for item in items)))


async def until(condition: Callable[[], Awaitable[bool]], what: str, seconds_max: float = 600) -> None:
    """Poll until `condition` holds. The limit only ends a run that would hang. Raises MonthFailed."""
    for _ in range(int(seconds_max * 2)):
        if await condition():
            return
        await asyncio.sleep(0.5)
    raise MonthFailed(f"not within {seconds_max:.0f} s: {what}")
