"""Gateways as they are deployed: several processes on one PostgreSQL, each on a port of its own."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp

from tests.conftest import TestPostgres
from tests.integration.gateway.conftest import settings_for
from tests.integration.gateway.sockets import free_port


@asynccontextmanager
async def gateway_process(postgres: TestPostgres, folder: Path, **environment: str) -> AsyncIterator[str]:
    """`python -m services.gateway.main`, ready; gives its base URL. Stopped by SIGTERM, which must end well."""
    settings, port = settings_for(postgres, folder), free_port()
    log_file = folder / f"gateway-{port}.log"
    told = {
        "TRIBUTARY_ENV": "test",
        "BROKER": "embedded",
        "DATABASE_URL_GATEWAY": settings.database_url("gateway"),
        "PRINCIPAL_KEYRING_FILE": str(settings.principal_keyring_file),
        "BOOTSTRAP_ADMIN_KEY_FILE": str(settings.bootstrap_admin_key_file),
        "PORT": str(port),
        **environment,
    }
    with log_file.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "services.gateway.main"], env={**os.environ, **told}, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        await _until_ready(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        code = await asyncio.to_thread(process.wait, 25)
    assert code == 0, log_file.read_text()


async def _until_ready(url: str, process: "subprocess.Popen[bytes]") -> None:
    async with aiohttp.ClientSession() as http:
        while process.poll() is None:
            try:
                async with http.get(f"{url}/readyz") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                pass
            await asyncio.sleep(0.05)
    raise RuntimeError("the gateway ended before it was ready")


@asynccontextmanager
async def gateway_processes(
    postgres: TestPostgres, folder: Path, count: int, **environment: str
) -> AsyncIterator[Sequence[str]]:
    """`count` of them, by base URL."""
    async with AsyncExitStack() as stack:
        starting = [stack.enter_async_context(gateway_process(postgres, folder, **environment)) for _ in range(count)]
        yield [await one for one in starting]
