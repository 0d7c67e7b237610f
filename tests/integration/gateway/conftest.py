"""A gateway in this very process: its door as an ASGI application, on the run's PostgreSQL."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest
from starlette.types import ASGIApp, Message

from services.gateway.domain.api_keys import spell_key
from services.gateway.main import build_app
from services.gateway.settings import GatewaySettings
from shared.runtime.health import Health
from shared.runtime.keyring import create_keyring_file
from tests.conftest import TestPostgres

ADMIN_KEY = spell_key("admin", secrets.token_bytes(40))


@dataclass(slots=True)
class GatewayClient:
    """Calls the door as one caller."""

    http: httpx.AsyncClient
    key: str | None

    async def call(self, method: str, path: str, *, json: Any = None, **headers: str) -> httpx.Response:
        """One call; header names with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key is not None:
            sent["Authorization"] = f"Bearer {self.key}"
        return await self.http.request(method, path, json=json, headers=sent)

    async def post(self, path: str, json: Any = None, *, expect: int = 201, **headers: str) -> Any:
        """POST that must answer `expect`; gives the JSON."""
        answer = await self.call("POST", path, json=json, **headers)
        assert answer.status_code == expect, (answer.text, dict(answer.headers))
        return answer.json()

    async def get(self, path: str, *, expect: int = 200) -> Any:
        """GET that must answer `expect`; gives the JSON."""
        answer = await self.call("GET", path)
        assert answer.status_code == expect, (answer.text, dict(answer.headers))
        return answer.json()

    def as_key(self, key: str | None) -> "GatewayClient":
        """The same door, another caller."""
        return GatewayClient(self.http, key)


@asynccontextmanager
async def running(app: ASGIApp) -> AsyncIterator[None]:
    """The application between its lifespan's start and end."""
    inbox: asyncio.Queue[Message] = asyncio.Queue()
    outbox: asyncio.Queue[Message] = asyncio.Queue()

    async def live() -> None:
        await app({"type": "lifespan", "asgi": {}, "state": {}}, inbox.get, outbox.put)

    task = asyncio.create_task(live())
    await inbox.put({"type": "lifespan.startup"})
    assert (await outbox.get())["type"] == "lifespan.startup.complete"
    yield
    await inbox.put({"type": "lifespan.shutdown"})
    assert (await outbox.get())["type"] == "lifespan.shutdown.complete"
    await task


def settings_for(postgres: TestPostgres, folder: Path, **changes: Any) -> GatewaySettings:
    """Settings of a test gateway."""
    keyring, admin_key = folder / "principals.json", folder / "admin-key"
    if not keyring.exists():
        create_keyring_file(keyring)
        admin_key.write_text(ADMIN_KEY)
    return GatewaySettings.model_validate(
        {
            "environment": "test",
            "broker": "embedded",
            "database_url_gateway": postgres.migrate("gateway"),
            "principal_keyring_file": keyring,
            "bootstrap_admin_key_file": admin_key,
            # A real process beside us, with the limit of ten, leaves ten in the bucket: it has to fill at once.
            "limit_failure_per_second": 100_000,
            "limit_failure_burst": 100_000,  # all gateways of a run share the buckets, by `folder`'s keyring
            **changes,
        }
    )


@asynccontextmanager
async def gateway(settings: GatewaySettings) -> AsyncIterator[GatewayClient]:
    """A running gateway, seen by its admin."""
    app = build_app(settings, Health())
    async with running(app):
        transport = httpx.ASGITransport(app=app, client=("127.0.0.1", 40_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://gateway.example") as http:
            for _ in range(100):
                if (await http.get("/readyz")).status_code == 200:
                    break
                await asyncio.sleep(0.05)
            yield GatewayClient(http, ADMIN_KEY)


@pytest.fixture(scope="session")
def gateway_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run's keyring and admin key are."""
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture(scope="session")
async def admin(postgres: TestPostgres, gateway_folder: Path) -> AsyncIterator[GatewayClient]:
    """The admin of a gateway that lives as long as the run."""
    async with gateway(settings_for(postgres, gateway_folder)) as client:
        yield client


@pytest.fixture
async def connection(postgres: TestPostgres, admin: GatewayClient) -> AsyncIterator["asyncpg.Connection"]:
    """The superuser's look into the gateway's database."""
    del admin
    opened = await asyncpg.connect(postgres.admin_url("tributary_gateway"))
    try:
        yield opened
    finally:
        await opened.close()


@dataclass(frozen=True, slots=True)
class Network:
    """A merchant with an offer, an affiliate, and a client for each."""

    merchant_id: int
    affiliate_id: int
    offer_id: int
    merchant: GatewayClient
    affiliate: GatewayClient
    finance: GatewayClient


async def small_network(admin: GatewayClient, **offer: Any) -> Network:
    """A fresh merchant with one offer, and a fresh affiliate that is not enrolled yet."""
    from tests.factories.gateway import offer_body

    merchant_id = (await admin.post("/v1/merchants", {"name": "Merchant"}))["id"]
    affiliate_id = (await admin.post("/v1/affiliates", {"name": "Affiliate"}))["id"]
    offer_id = (await admin.post("/v1/offers", offer_body(merchant_id, **offer)))["id"]
    merchant_key = (await admin.post("/v1/keys", {"role": "merchant", "merchant_id": merchant_id}))["key"]
    affiliate_key = (await admin.post("/v1/keys", {"role": "affiliate", "affiliate_id": affiliate_id}))["key"]
    finance_key = (await admin.post("/v1/keys", {"role": "finance"}))["key"]
    return Network(
        merchant_id,
        affiliate_id,
        offer_id,
        admin.as_key(merchant_key),
        admin.as_key(affiliate_key),
        admin.as_key(finance_key),
    )


@pytest.fixture
async def network(admin: GatewayClient) -> Network:
    """See small_network."""
    return await small_network(admin)
