"""Connections have places: so many in all, so many from one address, and the last ones for what is about money."""

import asyncio
import json
from ipaddress import ip_network

from shared.runtime.crowd import Places
from shared.runtime.edge_guard import EdgeLimits
from tests.unit.http.serving import serve
from tests.unit.http.test_edge_guard import application

PATIENT = {"first_byte_seconds": 20.0, "idle_seconds": 20.0, "sweep_seconds": 0.05}


def limits(places: Places) -> EdgeLimits:
    """Deadlines that no test reaches, and these places."""
    return EdgeLimits(places=places, **PATIENT)  # type: ignore[arg-type]


async def ask(port: int, path: str = "/hello") -> tuple[int, dict[str, str], bytes]:
    """One request on a connection of its own: status, headers, body; status 0 where the server only closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n".encode())
        said = await asyncio.wait_for(reader.read(), 10)
    except ConnectionError:
        said = b""
    finally:
        writer.close()
    head, _, body = said.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]) if said else 0, headers, body


class Held:
    """Connections that say nothing."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self, port: int, count: int) -> None:
        for _ in range(count):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            self._writers.append(writer)
        await asyncio.sleep(0.05)

    async def close(self) -> None:
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        await asyncio.sleep(0.1)


async def test_one_address_has_so_many_places_and_gets_them_back() -> None:
    held = Held()
    async with serve(application, limits(Places(all_max=100, address_max=5))) as port:
        await held.open(port, 5)
        status, headers, body = await ask(port)
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert json.loads(body)["code"] == "too_many_connections"

        await held.close()

        assert (await ask(port))[0] == 200


async def test_a_trusted_proxy_brings_many_clients() -> None:
    held = Held()
    places = Places(all_max=100, address_max=5, trusted=(ip_network("127.0.0.0/8"),))
    async with serve(application, limits(places)) as port:
        await held.open(port, 20)
        assert (await ask(port))[0] == 200
        await held.close()


async def test_all_together_have_so_many_places() -> None:
    held = Held()
    places = Places(all_max=10, address_max=50)
    async with serve(application, limits(places)) as port:
        await held.open(port, 10)
        assert (await ask(port))[0] == 503
        await held.close()
        assert (await ask(port))[0] == 200


async def test_the_last_places_are_for_the_reserved_paths() -> None:
    held = Held()
    places = Places(all_max=10, address_max=50, reserved_paths=(b"/postback",), reserved_share=0.5)
    async with serve(application, limits(places)) as port:
        await held.open(port, 7)

        assert (await ask(port, "/c/1/2"))[0] == 503
        assert (await ask(port, "/postback?x=1"))[0] == 200
        await held.close()
        assert (await ask(port, "/c/1/2"))[0] == 200


async def test_idle_connections_make_room_when_it_gets_dense() -> None:
    held = Held()
    places = Places(all_max=10, address_max=50, reserved_paths=(b"/postback",), reserved_share=0.5)
    async with serve(application, limits(places)) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /hello HTTP/1.1\r\nHost: t\r\n\r\n")
        assert b"200 OK" in await reader.read(15)

        await held.open(port, 6)

        assert await asyncio.wait_for(reader.read(), 10) is not None, "the idle one is closed"
        assert reader.at_eof()
        writer.close()
        await held.close()


async def test_a_crowd_beyond_all_measure_is_closed_and_forgotten() -> None:
    places = Places(all_max=2, address_max=50)
    async with serve(application, limits(places)) as port:
        statuses = [status for status, _, _ in await asyncio.gather(*(ask(port) for _ in range(400)))]
        assert set(statuses) <= {200, 503, 0}
        while (await ask(port))[0] != 200:
            await asyncio.sleep(0.05)
