"""A client that talks HTTP by hand, so that nothing retries or hides what became of a request."""

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import Final

ANSWER_SECONDS_MAX: Final = 25.0
PAUSE_SECONDS: Final = 0.01


@dataclass(slots=True)
class Tally:
    """answered: by status. closed_politely: answers that said `Connection: close`. refused: connects that found nobody.

    failed: requests sent on a connection that had been accepted, and never answered, in words.
    """

    answered: dict[int, int] = field(default_factory=dict)
    closed_politely: int = 0
    refused: int = 0
    failed: list[str] = field(default_factory=list)

    @property
    def n(self) -> int:
        """Requests that were sent."""
        return sum(self.answered.values()) + len(self.failed)


async def ask_again_and_again(
    port: int, target: str, headers: str, tally: Tally, stop: asyncio.Event, *, keep_alive: bool
) -> None:
    """Send GETs one after another until `stop`; on one connection while the server keeps it, or on a new one each."""
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    request = f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n".encode()
    while not stop.is_set():
        if connection is None or connection[0].at_eof():
            try:
                connection = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                tally.refused += 1
                await asyncio.sleep(PAUSE_SECONDS)
                continue
        reader, writer = connection
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                writer.write(request)
                await writer.drain()
                is_kept = await _read_answer(reader, tally)
        except (OSError, EOFError, TimeoutError) as fault:
            tally.failed.append(f"{type(fault).__name__} on {'a kept' if keep_alive else 'a new'} connection")
            is_kept = False
        if not (is_kept and keep_alive):
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            connection = None
        await asyncio.sleep(PAUSE_SECONDS)
    if connection is not None:
        connection[1].close()


async def _read_answer(reader: asyncio.StreamReader, tally: Tally) -> bool:
    """Read one whole answer; True when its connection stays open."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    status_line, _, fields = head.partition("\r\n")
    headers = dict(line.split(": ", 1) for line in fields.split("\r\n") if ": " in line)
    if "chunked" in headers.get("transfer-encoding", ""):
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            await reader.readexactly(size + 2)
        await reader.readuntil(b"\r\n")
    else:
        await reader.readexactly(int(headers.get("content-length", "0")))
    status = int(status_line.split(" ")[1])
    tally.answered[status] = tally.answered.get(status, 0) + 1
    says_close = headers.get("connection", "") == "close"
    tally.closed_politely += says_close
    return not says_close


async def status_of(port: int, target: str) -> int | None:
    """The status of one GET on a fresh connection; None where nobody listens or answers."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return None
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n".encode())
        line = await reader.readline()
        return int(line.split(b" ")[1]) if line else None
    except (OSError, IndexError):
        return None
    finally:
        writer.close()
