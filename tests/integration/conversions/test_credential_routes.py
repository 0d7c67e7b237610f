"""Credentials over HTTP: a write sent again is done once, and a merchant that is not there has none."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from services.conversions.api import credentials
from shared.contracts.catalogue import MerchantChangedV1, merchant_key
from shared.contracts.events import encode_event
from shared.kernel.ids import new_id
from tests.factories.conversions import MERCHANT, OTHER_MERCHANT, ConversionsService

PATH = f"/v1/merchants/{MERCHANT}/postback-credentials"
NOBODY = 2_000_000_001


async def send(
    service: ConversionsService, method: str, path: str, body: Any = None, *, key: str = "", role: str = "admin"
) -> httpx.Response:
    headers = service.as_role(role, MERCHANT if role == "merchant" else None)
    if key:
        headers["Idempotency-Key"] = key
    return await service.client.request(method, path, json=body, headers=headers)


async def ids(service: ConversionsService) -> set[str]:
    listed = (await send(service, "GET", PATH)).json()["items"]
    return {item["id"] for item in listed}


@pytest.mark.parametrize("role", ["admin", "merchant"])
async def test_a_credential_is_issued_once_per_key_and_its_secret_shown_once(
    conversions: ConversionsService, role: str
) -> None:
    before, key = await ids(conversions), f"issue-{new_id().hex}"

    first = await send(conversions, "POST", PATH, {"kind": "hmac"}, key=key, role=role)
    again = await send(conversions, "POST", PATH, {"kind": "hmac"}, key=key, role=role)
    other = await send(conversions, "POST", PATH, {"kind": "token"}, key=key, role=role)

    assert first.status_code == 201
    assert first.headers["cache-control"] == "no-store"
    assert (again.status_code, again.json()["code"]) == (409, "idempotent_response_unavailable")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert await ids(conversions) - before == {first.json()["id"]}
    stored = await conversions.rows("SELECT answer FROM idempotency_key WHERE key = :key", key=key)
    assert [bytes(row["answer"]) for row in stored] == [b""]
    await send(conversions, "DELETE", f"{PATH}/{first.json()['id']}")


async def test_a_rotation_sent_again_replaces_once(conversions: ConversionsService) -> None:
    old = (await send(conversions, "POST", PATH, {"kind": "hmac"})).json()["id"]
    before, key = await ids(conversions), f"rotate-{new_id().hex}"

    answers = await asyncio.gather(*(send(conversions, "POST", f"{PATH}/{old}/rotate", key=key) for _ in range(5)))

    assert [answer.status_code for answer in answers].count(201) == 1
    assert {answer.status_code for answer in answers} <= {201, 409}
    (new,) = await ids(conversions) - before
    for made in (old, new):
        await send(conversions, "DELETE", f"{PATH}/{made}")


async def test_a_revocation_sent_again_gets_the_same_answer(conversions: ConversionsService) -> None:
    made = (await send(conversions, "POST", PATH, {"kind": "token"})).json()["id"]
    key = f"revoke-{new_id().hex}"

    first = await send(conversions, "DELETE", f"{PATH}/{made}", key=key)
    again = await send(conversions, "DELETE", f"{PATH}/{made}", key=key)
    without = await send(conversions, "DELETE", f"{PATH}/{made}")

    assert (first.status_code, again.status_code, without.status_code) == (204, 204, 404)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.content == b""


async def test_a_refusal_is_not_kept(conversions: ConversionsService) -> None:
    key = f"refused-{new_id().hex}"

    refused = await send(conversions, "POST", PATH, {"kind": "hmac", "cidrs": ["nowhere"]}, key=key)
    mended = await send(conversions, "POST", PATH, {"kind": "hmac", "cidrs": ["192.0.2.0/24"]}, key=key)

    assert (refused.status_code, mended.status_code) == (422, 201)
    await send(conversions, "DELETE", f"{PATH}/{mended.json()['id']}")


async def test_a_merchant_that_is_not_there_has_no_credentials(
    conversions: ConversionsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "ARRIVAL_SECONDS", 0.0)
    path = f"/v1/merchants/{NOBODY}/postback-credentials"

    made, listed = await send(conversions, "POST", path, {"kind": "token"}), await send(conversions, "GET", path)

    assert (made.status_code, made.json()["code"]) == (404, "merchant_not_found")
    assert listed.status_code == 404
    assert await conversions.rows("SELECT 1 FROM postback_credential WHERE merchant_id = :id", id=NOBODY) == []


async def test_a_merchant_made_a_moment_ago_is_waited_for(conversions: ConversionsService) -> None:
    merchant_id = NOBODY + 1
    asked = asyncio.create_task(
        send(conversions, "POST", f"/v1/merchants/{merchant_id}/postback-credentials", {"kind": "token"})
    )
    await asyncio.sleep(0)
    event = MerchantChangedV1(
        event_id=new_id(), occurred_at=datetime.now(UTC), merchant_id=merchant_id, name="New", status="active"
    )
    async with conversions.worker.transaction() as session:
        await session.execute(
            text(
                "INSERT INTO projection_entry VALUES (:key, 'merchant_changed', :payload,"
                " (SELECT coalesce(max(changed_offset), 0) + 1 FROM projection_entry))"
            ),
            {"key": merchant_key(merchant_id), "payload": encode_event(event)},
        )

    answer = await asked

    assert (answer.status_code, answer.json()["merchant_id"]) == (201, merchant_id)


async def test_a_merchants_own_key_is_proof_enough_of_it(
    conversions: ConversionsService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversions.api.desk.catalogue, "_known_merchants", set())
    path = f"/v1/merchants/{OTHER_MERCHANT}/postback-credentials"
    headers = conversions.as_role("merchant", OTHER_MERCHANT)

    made = await conversions.client.post(path, json={"kind": "token"}, headers=headers)

    assert made.status_code == 201
    await conversions.client.delete(f"{path}/{made.json()['id']}", headers=headers)
