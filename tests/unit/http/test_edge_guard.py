"""The edge guard over real sockets. Deadlines are tiny here; only order and closure are asserted."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from starlette.types import Receive, Scope, Send

from shared.runtime.edge_guard import EdgeLimits
from shared.runtime.larger_body import LargerBody
from tests.unit.http.serving import serve

TINY = EdgeLimits(
    first_byte_seconds=0.2,
    head_seconds=0.2,
    body_seconds=0.3,
    idle_seconds=0.3,
    write_seconds=0.3,
    linger_seconds=0.2,
    sweep_seconds=0.05,
    body_bytes_max=1_000,
)
GET = b"GET /hello?x=%7E%2F HTTP/1.1\r\nHost: t\r\n\r\n"
seen: list[str] = []


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers the length of the body; /big answers more than any socket buffer holds, /slow takes its time."""
    if scope["type"] != "http":
        return
    seen.append(scope["path"])
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size += len(message["body"])
        more = message.get("more_body", False)
    if scope["path"] == "/slow":
        await asyncio.sleep(0.8)
    body = b"x" * 30_000_000 if scope["path"] == "/big" else str(size).encode()
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(body)).encode())]}
    )
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """The port of a server with tiny deadlines."""
    seen.clear()
    async with serve(application, TINY) as port:
        yield port


async def exchange(port: int, *pieces: bytes) -> bytes:
    """All the server says until it closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.02)
        return await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        return b"(reset)"
    finally:
        writer.close()


def status(answer: bytes) -> int:
    """The first status in `answer`, 0 for none."""
    return int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0


async def test_good_requests_pass_and_the_idle_connection_closes_silently() -> None:
    async with serving() as port:
        answer = await exchange(port, GET, b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc")

        assert answer.count(b"HTTP/1.1 200") == 2
        assert answer.endswith(b"\r\n\r\n3")


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([], 0),
        ([b"GET / HT"], 408),
        ([b"GET / HTTP/1.1\r\nHost: t\r\nX: "], 408),
        ([b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\n\r\nab"], 408),
        ([b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"], 408),
    ],
    ids=["nothing", "half line", "half head", "half body", "half chunk"],
)
async def test_a_client_that_stops_is_closed(pieces: list[bytes], wanted: int) -> None:
    async with serving() as port:
        assert status(await exchange(port, *pieces)) == wanted


async def test_a_dripping_client_does_not_renew_its_deadline() -> None:
    async with serving() as port:
        drip = [b"GET / HTTP/1.1\r\nHost: t\r\n"] + [b"X: y\r\n"] * 40

        answer = await exchange(port, *drip)

        assert status(answer) in (0, 408)
        assert seen == []


HEAD = b"POST /in HTTP/1.1\r\nHost: t\r\n"


@pytest.mark.parametrize(
    ("request_bytes", "wanted"),
    [
        (HEAD + b"Content-Length: 1001\r\n\r\n", 413),
        (HEAD + b"Content-Length: 10000000\r\n\r\n" + b"x" * 3_000_000, 413),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n", 413),
        (b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: t\r\n\r\n", 414),
        (b"GET / HTTP/1.1\r\nHost: t\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 20_000 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: t\r\n" + b"X: y\r\n" * 100 + b"\r\n", 431),
    ],
    ids=["declared", "declared and sent", "chunked", "target", "one header", "20000 headers", "101 headers"],
)
async def test_what_is_too_large_is_refused_before_the_application(request_bytes: bytes, wanted: int) -> None:
    async with serving() as port:
        answer = await exchange(port, request_bytes)

        assert status(answer) == wanted
        head, _, body = answer.partition(b"\r\n\r\n")
        assert b"connection: close" in head
        assert (json.loads(body)["status"], len(body)) == (wanted, int(head.split(b"content-length: ")[1].split()[0]))
        assert seen in ([], ["/in"])  # a chunked body is over the limit only after it began


@pytest.mark.parametrize(
    "request_bytes",
    [
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        HEAD + b"Content-Length: 3, 3\r\n\r\nabc",
        HEAD + b"Content-Length: -3\r\n\r\nabc",
        HEAD + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"POST /in HTTP/1.0\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\nHost: t\n\n",
        b"GET / HTTP/1.1\r\nHost: t\nX: y\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: t\r\nX: y\r\n z\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : t\r\n\r\n",
        b"GET / HTTP/2.0\r\nHost: t\r\n\r\n",
        b"GET /\r\n\r\n",
        b"GET http://u/ HTTP/1.1\r\nHost: t\r\n\r\n",
        b"CONNECT u:80 HTTP/1.1\r\nHost: t\r\n\r\n",
        b"OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ],
)
async def test_what_two_servers_could_read_in_two_ways_is_refused(request_bytes: bytes) -> None:
    async with serving() as port:
        answer = await exchange(port, request_bytes + GET)

        assert status(answer) == 400
        assert answer.count(b"HTTP/1.1") == 1
        assert seen == []


async def test_a_trailer_does_not_become_a_header() -> None:
    async with serving() as port:
        body = b"3\r\nabc\r\n0\r\nTributary-Principal: me\r\n\r\n"

        answer = await exchange(port, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + body)

        assert status(answer) == 400


async def test_a_refusal_never_poses_as_the_answer_to_an_earlier_request() -> None:
    async with serving() as port:
        answer = await exchange(port, b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\nGET /two HTTP/1.1\r\n\r\n")

        assert answer == b""


async def test_pipelined_requests_are_answered_in_order_and_only_so_many() -> None:
    async with serving() as port:
        assert (await exchange(port, GET * 20)).count(b"HTTP/1.1 200") == 20
        assert (await exchange(port, GET * 500)).count(b"HTTP/1.1 200") < 100


async def test_a_slow_application_is_not_the_clients_fault() -> None:
    async with serving() as port:
        assert status(await exchange(port, b"GET /slow HTTP/1.1\r\nHost: t\r\n\r\n")) == 200


async def test_a_client_that_reads_nothing_is_cut_off() -> None:
    async with serving() as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET /big HTTP/1.1\r\nHost: t\r\n\r\n")
        await asyncio.sleep(1.5)  # several write deadlines

        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(30_000_000)
        writer.close()


async def test_an_upgrade_is_ignored_and_the_connection_ends_with_its_answer() -> None:
    async with serving() as port:
        upgrade = b"GET /in HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"

        answer = await exchange(port, upgrade + GET)

        assert answer.count(b"HTTP/1.1 200") == 1
        assert answer.endswith(b"0")
        assert seen == ["/in"]


async def test_an_upgrade_with_a_body_is_refused_because_the_body_would_be_lost() -> None:
    async with serving() as port:
        upgrade = HEAD + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabc"

        assert status(await exchange(port, upgrade)) == 400


async def test_one_path_may_take_a_larger_body_and_no_other() -> None:
    limits = replace(TINY, larger_bodies=(LargerBody("/up/{id}/file", bytes_max=5_000),))

    def post(path: str, size: int, *, chunked: bool) -> bytes:
        body = b"x" * size
        if chunked:
            head = f"POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
            return head + f"{size:x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
        return f"POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {size}\r\n\r\n".encode() + body

    async with serve(application, limits) as port:
        for chunked in (False, True):
            assert status(await exchange(port, post("/up/7/file?a=1", 5_000, chunked=chunked))) == 200
            assert status(await exchange(port, post("/up/7/file", 5_001, chunked=chunked))) == 413
            for other in ("/up/7/file/", "/up//file", "/up/7/files", "/", "/up/7/file/x"):
                assert status(await exchange(port, post(other, 1_001, chunked=chunked))) == 413


async def test_a_larger_body_on_one_request_allows_none_on_the_next_of_the_connection() -> None:
    limits = replace(TINY, larger_bodies=(LargerBody("/up", bytes_max=5_000),))
    first = b"POST /up HTTP/1.1\r\nHost: t\r\nContent-Length: 5000\r\n\r\n" + b"x" * 5_000
    second = b"POST /no HTTP/1.1\r\nHost: t\r\nContent-Length: 1001\r\n\r\n"

    async with serve(application, limits) as port:
        answer = await exchange(port, first, second)

    assert status(answer) == 200
    assert b"HTTP/1.1 413" in answer
