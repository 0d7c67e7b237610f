"""The commissions API in this process, on a real database, asked as any role."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from services.commissions.bootstrap import build_api
from services.commissions.main import app_of
from services.commissions.settings import CommissionsSettings
from shared.runtime.health import Health
from shared.runtime.keyring import Keyring, create_keyring_file
from shared.runtime.principal import PRINCIPAL_HEADER, Principal, PrincipalSigner, Role


@dataclass(frozen=True, slots=True)
class Reader:
    """Asks the API. Roles affiliate and merchant need their id."""

    client: httpx.AsyncClient
    signer: PrincipalSigner

    async def send(
        self,
        method: str,
        path: str,
        role: Role = "finance",
        body: Any = None,
        *,
        merchant_id: int | None = None,
        affiliate_id: int | None = None,
        key_id: str = "k",
        idempotency_key: str | None = None,
        content: bytes | None = None,
        **query: Any,
    ) -> httpx.Response:
        """One write as `role`, by the API key `key_id`. body: JSON, None for none."""
        principal = Principal(role, key_id, merchant_id, affiliate_id, "127.0.0.1", uuid4().hex)
        token = self.signer.sign(principal, audience="commissions", now=datetime.now(UTC))
        headers = {PRINCIPAL_HEADER: token}
        if idempotency_key is not None:
            headers["Idempotency-Key"] = idempotency_key
        parameters = {name.rstrip("_"): str(value) for name, value in query.items()}
        return await self.client.request(method, path, params=parameters, headers=headers, json=body, content=content)

    async def get(
        self,
        path: str,
        role: Role = "finance",
        *,
        merchant_id: int | None = None,
        affiliate_id: int | None = None,
        accept: str = "application/json",
        **query: Any,
    ) -> httpx.Response:
        """One request as `role`. A name in `query` may end in `_`: `from_`, or `affiliate_id_` as a parameter."""
        principal = Principal(role, "k", merchant_id, affiliate_id, "127.0.0.1", "r-1")
        token = self.signer.sign(principal, audience="commissions", now=datetime.now(UTC))
        parameters = {name.rstrip("_"): str(value) for name, value in query.items()}
        return await self.client.get(path, params=parameters, headers={PRINCIPAL_HEADER: token, "Accept": accept})


@asynccontextmanager
async def commissions_api(url: str, folder: Path, *, clock_file: Path | None = None) -> AsyncIterator[Reader]:
    """The application over ASGI, with its lifespan. clock_file: an instant that stands still."""
    keyring, sealing = (_keyring(folder / f"{name}.json") for name in ("principal", "sealing"))
    settings = CommissionsSettings.model_validate(
        {
            "environment": "test",
            "broker": "embedded",
            "clock_file": clock_file,
            "database_url_commissions": url,
            "principal_keyring_file": keyring,
            "sealing_keyring_file": sealing,
            "payer_name": "Tributary Network",
            "payer_iban": "DE02120300000000202051",
        }
    )
    app = app_of(build_api(settings), settings, Health())
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://c") as client:
        yield Reader(client, PrincipalSigner(Keyring.load(keyring)))


def _keyring(path: Path) -> Path:
    """The keyring in `path`, made if it is not there."""
    if not path.exists():
        create_keyring_file(path)
    return path
