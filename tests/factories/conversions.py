"""Conversions for tests: a click ID, an offer version, a signed postback, a whole service on a real PostgreSQL."""

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlencode

import httpx
from pydantic import SecretStr
from sqlalchemy import text

from services.conversions.bootstrap import Api, build_api
from services.conversions.domain.catalogue import OfferVersion
from services.conversions.domain.signature import token_hash
from services.conversions.main import app_of
from services.conversions.settings import ConversionsSettings
from services.conversions.storage.credential_store import CredentialRow, insert_credential
from shared.contracts.catalogue import (
    MerchantChangedV1,
    MoneyV1,
    OfferVersionPublishedV1,
    TermV1,
    merchant_key,
    offer_version_key,
)
from shared.contracts.events import encode_event
from shared.kernel.click_id import Click, ClickFlags, sign_click_id, spell_click_id
from shared.kernel.ids import new_id
from shared.runtime.database import Database
from shared.runtime.health import Health
from shared.runtime.keyring import Keyring, create_keyring_file
from shared.runtime.principal import PRINCIPAL_HEADER, Principal, PrincipalSigner
from shared.runtime.sealing import seal

MERCHANT, OTHER_MERCHANT, AFFILIATE = 7, 8, 11
SECRET, TOKEN = "whsec_test", "tok_test"
Way = Literal["query", "form", "json", "query_token", "form_token", "json_token", "bearer"]
SALE = TermV1(event="sale", kind="percentage", rate_percent="10", margin_percent="2")
LEAD = TermV1(
    event="lead",
    kind="flat",
    flat_amount=MoneyV1(amount_minor=500, currency="EUR"),
    margin_amount=MoneyV1(amount_minor=50, currency="EUR"),
)
_nonces, _offers = count(1), count(1000)


def offer_version(**overrides: Any) -> OfferVersion:
    """An offer version that takes sales (percentage) and leads (flat), 0 s to 30 days after the click."""
    known: dict[str, Any] = {
        "offer_id": 1,
        "version": 1,
        "merchant_id": MERCHANT,
        "window_min_seconds": 0,
        "window_max_seconds": 30 * 86_400,
        "late_hours": 24,
        "validation_days": 14,
        "needs_amount": {"sale": True, "lead": False},
    }
    return OfferVersion(**(known | overrides))


def click(**overrides: Any) -> Click:
    """A click of a moment ago on offer 1, version 1."""
    known: dict[str, Any] = {
        "flags": ClickFlags.NONE,
        "clicked_at": datetime.now(UTC) - timedelta(seconds=60),
        "nonce": next(_nonces),
        "offer_id": 1,
        "affiliate_id": AFFILIATE,
        "offer_version": 1,
    }
    return Click(**(known | overrides))


def signed_query(fields: Mapping[str, Any], *, secret: str = SECRET, at: float | None = None) -> str:
    """The query of a signed GET postback."""
    query = urlencode({**fields, "ts": str(int(time.time() if at is None else at))})
    return f"{query}&sig={hmac.new(secret.encode(), query.encode(), hashlib.sha256).hexdigest()}"


def signature_header(body: bytes, *, secret: str = SECRET, at: float | None = None) -> str:
    """The header of a signed body."""
    moment = str(int(time.time() if at is None else at))
    return f"t={moment},v1={hmac.new(secret.encode(), f'{moment}.'.encode() + body, hashlib.sha256).hexdigest()}"


def free_offer_id() -> int:
    """An offer id no other test uses."""
    return next(_offers)


@dataclass(slots=True)
class ConversionsService:
    """conversions-api in this process, on a real database, with merchant 7's credentials."""

    api: Api
    client: httpx.AsyncClient
    worker: Database
    admin: Database
    signer: PrincipalSigner
    orders: Any = field(default_factory=lambda: count(1))

    def click_id(self, **overrides: Any) -> str:
        """A signed click ID."""
        key = self.api.desk.click_keyring.signing
        return spell_click_id(sign_click_id(click(**overrides), key_id=key.id, secret=key.secret))

    def order(self) -> str:
        """A fresh order id."""
        return f"order-{new_id().hex[-12:]}-{next(self.orders)}"

    async def publish(self, *, known_at_once: bool = True, **overrides: Any) -> int:
        """Store an offer version in the projection; gives the offer's id."""
        values: dict[str, Any] = {
            "offer_id": free_offer_id(),
            "version": 1,
            "merchant_id": MERCHANT,
            "landing_template": "https://shop.test/?c={click_id}",
            "allowed_hosts": ["shop.test"],
            "window_min_seconds": 0,
            "window_max_seconds": 30 * 86_400,
            "late_hours": 24,
            "validation_days": 14,
            "terms": [SALE, LEAD],
        } | overrides
        event = OfferVersionPublishedV1(event_id=new_id(), occurred_at=datetime.now(UTC), **values)
        async with self.worker.transaction() as session:
            await session.execute(
                text(
                    "INSERT INTO projection_entry VALUES (:key, 'offer_version_published', :payload,"
                    " (SELECT coalesce(max(changed_offset), 0) + 1 FROM projection_entry))"
                ),
                {"key": offer_version_key(event.offer_id, event.version), "payload": encode_event(event)},
            )
        if known_at_once:
            await self.api.follower.load()
        return event.offer_id

    async def postback(self, fields: Mapping[str, Any], way: Way = "query", **signing: Any) -> httpx.Response:
        """Send a postback of merchant 7."""
        own = {"merchant_id": str(MERCHANT)}
        if way == "query":
            return await self.client.get("/postback?" + signed_query({**own, **fields}, **signing))
        if way == "query_token":
            return await self.client.get("/postback?" + urlencode({**own, **fields, "token": TOKEN}))
        extra = {"token": TOKEN, **own} if way.endswith("_token") else {}
        is_form = way.startswith("form")
        body = (urlencode({**fields, **extra}) if is_form else json.dumps({**fields, **extra})).encode()
        headers = {"Content-Type": "application/x-www-form-urlencoded" if is_form else "application/json"}
        if way == "bearer":
            headers["Authorization"] = f"Bearer {TOKEN}"
        elif not extra:
            headers["Tributary-Signature"] = signature_header(body, **signing)
        path = "/postback" if extra else f"/postback?merchant_id={MERCHANT}"
        return await self.client.post(path, content=body, headers=headers)

    def as_role(self, role: Any, party_id: int | None = None) -> dict[str, str]:
        """Headers of a principal."""
        principal = Principal(
            role=role,
            key_id=f"key-{role}-{party_id}",
            merchant_id=party_id if role == "merchant" else None,
            affiliate_id=party_id if role == "affiliate" else None,
            client_address="192.0.2.1",
            request_id=new_id().hex,
        )
        return {PRINCIPAL_HEADER: self.signer.sign(principal, audience="conversions", now=datetime.now(UTC))}

    async def events_of(self, conversion_id: str) -> list[dict[str, Any]]:
        """The outbox's events of one conversion, in order."""
        async with self.worker.transaction() as session:
            rows = await session.execute(
                text("SELECT payload FROM outbox WHERE key = :key ORDER BY id"), {"key": conversion_id.encode()}
            )
            return [json.loads(row[0]) for row in rows]

    async def reconnect(self) -> None:
        """Drop the test's own connections, after the server was killed."""
        await self.worker.close()
        await self.admin.close()

    async def rows(self, statement: str, **values: Any) -> list[Any]:
        """Rows of any statement, as the worker."""
        async with self.admin.transaction() as session:
            return list((await session.execute(text(statement), values)).mappings().all())


@asynccontextmanager
async def running_conversions(url: str, folder: Path, **environment: Any) -> AsyncIterator[ConversionsService]:
    """The service, its lifespan run, on a migrated database."""
    files = {name: folder / f"{name}.json" for name in ("click", "principal", "sealing")}
    for file in files.values():
        if not file.exists():
            create_keyring_file(file)
    privacy_key = folder / "privacy_key"
    privacy_key.write_text("p" * 32)
    settings = ConversionsSettings(
        environment="test",
        broker="embedded",
        database_url_conversions=SecretStr(url),
        click_keyring_file=files["click"],
        principal_keyring_file=files["principal"],
        sealing_keyring_file=files["sealing"],
        privacy_key_file=privacy_key,
        **environment,
    )
    api = build_api(settings)
    worker = Database(url, role="conversions_worker", pool_size=3)
    admin = Database(url, role="conversions_migrate", pool_size=2)
    await _ensure_merchants(worker)
    await _ensure_credentials(Database(url, role="conversions_staff", pool_size=1), Keyring.load(files["sealing"]))
    app = app_of(api, settings, Health())
    async with _lifespan(app):
        while not api.desk.is_ready:
            await asyncio.sleep(0.01)
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=True)
        async with httpx.AsyncClient(transport=transport, base_url="http://conversions.test") as client:
            yield ConversionsService(api, client, worker, admin, PrincipalSigner(Keyring.load(files["principal"])))
    await worker.close()
    await admin.close()


async def _ensure_merchants(worker: Database) -> None:
    async with worker.transaction() as session:
        for merchant in (MERCHANT, OTHER_MERCHANT):
            event = MerchantChangedV1(
                event_id=new_id(), occurred_at=datetime.now(UTC), merchant_id=merchant, name="M", status="active"
            )
            await session.execute(
                text(
                    "INSERT INTO projection_entry VALUES (:key, 'merchant_changed', :payload,"
                    " (SELECT coalesce(max(changed_offset), 0) + 1 FROM projection_entry)) ON CONFLICT DO NOTHING"
                ),
                {"key": merchant_key(merchant), "payload": encode_event(event)},
            )


async def _ensure_credentials(staff: Database, sealing: Keyring) -> None:
    now = datetime.now(UTC)
    async with staff.transaction() as session:
        # Those of the module before were sealed with its own keyring.
        await session.execute(text("UPDATE postback_credential SET revoked_at = now()"))
        for merchant, secret, token in ((MERCHANT, SECRET, TOKEN), (OTHER_MERCHANT, "whsec_other", "tok_other")):
            signing_id, token_id = new_id(), new_id()
            sealed = seal(sealing, secret.encode(), owner=signing_id)
            await insert_credential(session, CredentialRow(signing_id, merchant, "hmac", "test", sealed, None, [], now))
            hashed = token_hash(token)
            await insert_credential(session, CredentialRow(token_id, merchant, "token", "test", None, hashed, [], now))
    await staff.close()


@asynccontextmanager
async def _lifespan(app: Any) -> AsyncIterator[None]:
    inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    outbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {"version": "3.0"}}, inbox.get, outbox.put))
    await inbox.put({"type": "lifespan.startup"})
    started = await outbox.get()
    assert started["type"] == "lifespan.startup.complete", started
    try:
        yield
    finally:
        await inbox.put({"type": "lifespan.shutdown"})
        await outbox.get()
        await task
