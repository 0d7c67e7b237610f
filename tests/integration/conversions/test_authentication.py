"""Only the merchant's own credentials open the postback door; rotation fails no postback."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from services.conversions.storage.credential_store import CredentialRow, insert_credential
from shared.kernel.ids import new_id
from shared.runtime.keyring import Keyring, add_key, promote_key
from shared.runtime.sealing import seal
from tests.factories.conversions import (
    MERCHANT,
    OTHER_MERCHANT,
    TOKEN,
    ConversionsService,
    signature_header,
    signed_query,
)

OWN = {"merchant_id": str(MERCHANT)}


async def get(service: ConversionsService, query: str) -> tuple[int, str]:
    response = await service.client.get("/postback?" + query)
    return response.status_code, response.json().get("code", "")


async def test_only_the_right_signature_opens(conversions: ConversionsService) -> None:
    order = {**OWN, "order_id": conversions.order()}
    good = signed_query(order)

    assert await get(conversions, good.partition("&sig=")[0]) == (401, "signature_missing")
    assert await get(conversions, good + "&x=1") == (401, "signature_invalid")
    assert await get(conversions, good.replace("order_id=o", "order_id=p")) == (401, "signature_invalid")
    assert await get(conversions, signed_query(order, secret="wrong")) == (401, "signature_invalid")
    assert await get(conversions, signed_query({**order, "merchant_id": "999"})) == (401, "signature_invalid")
    other = {**order, "merchant_id": str(OTHER_MERCHANT)}
    assert await get(conversions, signed_query(other)) == (401, "signature_invalid")
    assert await get(conversions, signed_query({**order, "x": "y"}) + "&merchant_id=8") == (401, "signature_invalid")
    assert await get(conversions, f"merchant_id={MERCHANT}&" + good) == (401, "signature_invalid")
    assert (await get(conversions, good))[0] == 201


@pytest.mark.parametrize(("seconds", "status"), [(-298, 201), (298, 201), (-302, 401), (302, 401)])
async def test_the_time_of_signing_is_recent(conversions: ConversionsService, seconds: int, status: int) -> None:
    for way in ("query", "form", "json"):
        response = await conversions.postback({"order_id": conversions.order()}, way, at=time.time() + seconds)

        assert response.status_code == status
        if status == 401:
            assert response.json()["code"] == "timestamp_outside"


async def test_the_signature_is_over_raw_bytes(conversions: ConversionsService) -> None:
    signed = signed_query({**OWN, "order_id": "a~/b" + conversions.order()})
    respelt = signed.replace("%2F", "%2f", 1)

    assert respelt != signed
    assert (await get(conversions, respelt))[0] == 401
    assert (await get(conversions, signed))[0] == 201


async def test_a_body_changed_or_reserialised_does_not_verify(conversions: ConversionsService) -> None:
    body = b'{"order_id": "one"}'
    headers = {"Content-Type": "application/json", "Tributary-Signature": signature_header(body)}

    for changed in (b'{"order_id":"one"}', b'{"order_id": "two"}', body + b" "):
        response = await conversions.client.post(f"/postback?merchant_id={MERCHANT}", content=changed, headers=headers)
        assert (response.status_code, response.json()["code"]) == (401, "signature_invalid")


async def test_the_querys_signature_does_not_cover_a_body(conversions: ConversionsService) -> None:
    query = signed_query({**OWN, "order_id": "x"})

    response = await conversions.client.post("/postback?" + query, json={"order_id": "y"})

    assert (response.status_code, response.json()["code"]) == (401, "signature_missing")


async def test_a_signed_body_is_verified_before_it_is_parsed(conversions: ConversionsService) -> None:
    body = b'{"order_id": NaN'
    path, kind = f"/postback?merchant_id={MERCHANT}", {"Content-Type": "application/json"}

    forged = await conversions.client.post(path, content=body, headers={**kind, "Tributary-Signature": "t=1,v1=aa"})
    good = await conversions.client.post(
        path, content=body, headers={**kind, "Tributary-Signature": signature_header(body)}
    )

    assert forged.status_code == 401
    assert (good.status_code, good.json()["errors"][0]["field"]) == (422, "body")
    assert good.json()["receipt_id"]


async def test_a_body_may_not_name_another_merchant(conversions: ConversionsService) -> None:
    response = await conversions.postback({"merchant_id": OTHER_MERCHANT, "order_id": "x"}, "json")

    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "merchant_id")


async def test_unauthenticated_ones_are_counted_and_the_last_hundred_kept(conversions: ConversionsService) -> None:
    bad = "/postback?" + signed_query({**OWN, "order_id": "x"}, secret="wrong")
    before = await conversions.rows("SELECT count FROM unauthenticated_count WHERE merchant_id = 7")

    await asyncio.gather(*(conversions.client.get(bad) for _ in range(130)))
    await conversions.api.desk.rejected.write()

    after = await conversions.rows("SELECT count FROM unauthenticated_count WHERE merchant_id = 7")
    assert after[0]["count"] - (before[0]["count"] if before else 0) >= 130
    headers = conversions.as_role("merchant", MERCHANT)
    page = await conversions.client.get("/v1/receipts?authenticated=false&limit=200", headers=headers)
    assert len(page.json()["items"]) == 100
    assert page.json()["items"][0]["outcome"]["name"] == "signature_invalid"


async def credential(service: ConversionsService, **body: Any) -> dict[str, Any]:
    path = f"/v1/merchants/{MERCHANT}/postback-credentials"
    response = await service.client.post(path, json={"kind": "hmac", **body}, headers=service.as_role("admin"))
    assert response.status_code == 201, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def test_rotation_keeps_the_old_secret_for_a_day_and_revoking_ends_it(conversions: ConversionsService) -> None:
    path, admin = f"/v1/merchants/{MERCHANT}/postback-credentials", conversions.as_role("admin")
    old = await credential(conversions)

    async def sale(secret: str) -> int:
        return (await conversions.postback({"order_id": conversions.order()}, secret=secret)).status_code

    rotated = await conversions.client.post(f"{path}/{old['id']}/rotate", headers=admin)
    new = rotated.json()

    assert (rotated.status_code, new["replaces_id"]) == (201, old["id"])
    assert (await sale(old["secret"]), await sale(new["secret"])) == (201, 201)
    listed = (await conversions.client.get(path, headers=admin)).json()["items"]
    assert all(item["secret"] is None for item in listed)
    assert next(item for item in listed if item["id"] == old["id"])["valid_until"] is not None
    assert (await conversions.client.delete(f"{path}/{old['id']}", headers=admin)).status_code == 204
    assert (await sale(old["secret"]), await sale(new["secret"])) == (401, 201)
    await conversions.client.delete(f"{path}/{new['id']}", headers=admin)


async def test_secrets_are_sealed_at_rest(conversions: ConversionsService) -> None:
    made = await credential(conversions)
    token = await credential(conversions, kind="token")

    for row in await conversions.rows("SELECT sealed_secret, token_hash FROM postback_credential"):
        stored = bytes(row["sealed_secret"] or row["token_hash"])
        assert made["secret"].encode() not in stored
        assert token["secret"].encode() not in stored
    path, admin = f"/v1/merchants/{MERCHANT}/postback-credentials", conversions.as_role("admin")
    for issued in (made, token):
        await conversions.client.delete(f"{path}/{issued['id']}", headers=admin)


async def test_a_credential_is_bound_to_its_networks(conversions: ConversionsService) -> None:
    here = await credential(conversions, cidrs=["127.0.0.0/8"])
    elsewhere = await credential(conversions, cidrs=["198.51.100.0/24", "2001:db8::/32"])

    allowed = await conversions.postback({"order_id": conversions.order()}, secret=here["secret"])
    refused = await conversions.postback({"order_id": conversions.order()}, secret=elsewhere["secret"])
    forged = await conversions.client.get(
        "/postback?" + signed_query({**OWN, "order_id": "x"}, secret=elsewhere["secret"]),
        headers={"X-Forwarded-For": "198.51.100.7"},
    )

    assert allowed.status_code == 201
    assert (refused.status_code, refused.json()["code"]) == (401, "address_not_allowed")
    assert forged.status_code == 401
    path, admin = f"/v1/merchants/{MERCHANT}/postback-credentials", conversions.as_role("admin")
    for issued in (here, elsewhere):
        await conversions.client.delete(f"{path}/{issued['id']}", headers=admin)


async def test_a_token_of_another_merchant_opens_nothing(conversions: ConversionsService) -> None:
    swapped = f"merchant_id={MERCHANT}&order_id=x&token=tok_other"

    assert await get(conversions, swapped) == (401, "credential_unknown")
    assert await get(conversions, f"merchant_id=999&order_id=x&token={TOKEN}") == (401, "credential_unknown")


@pytest.mark.parametrize("role", ["affiliate", "finance"])
async def test_others_may_not_manage_credentials(conversions: ConversionsService, role: str) -> None:
    headers = conversions.as_role(role, 1 if role == "affiliate" else None)

    response = await conversions.client.get(f"/v1/merchants/{MERCHANT}/postback-credentials", headers=headers)

    assert response.status_code == 403


async def test_a_foreign_merchants_credentials_are_not_there(conversions: ConversionsService) -> None:
    headers = conversions.as_role("merchant", OTHER_MERCHANT)
    path = f"/v1/merchants/{MERCHANT}/postback-credentials"

    listed = await conversions.client.get(path, headers=headers)
    made = await conversions.client.post(path, headers=headers, json={"kind": "token"})

    assert (listed.status_code, made.status_code) == (404, 404)


async def test_a_secret_whose_sealing_key_comes_late_opens_when_it_is_there(conversions: ConversionsService) -> None:
    """A copy of the keyring that was brought late to one machine must not need a restart there."""
    desk = conversions.api.desk
    path = desk.sealing_keyring._path
    before = path.read_bytes()
    promote_key(path, add_key(path))
    newer = path.read_bytes()
    made_id, secret = new_id(), "whsec_late"
    sealed = seal(Keyring.load(path), secret.encode(), owner=made_id)
    path.write_bytes(before)
    desk.sealing_keyring.reload()
    async with desk.staff.transaction() as session:
        row = CredentialRow(made_id, MERCHANT, "hmac", "late", sealed, None, [], datetime.now(UTC))
        await insert_credential(session, row)
    await desk.book.refresh()
    refused = await conversions.postback({"order_id": conversions.order()}, secret=secret)

    path.write_bytes(newer)
    desk.sealing_keyring.reload()
    await desk.book.refresh()
    taken = await conversions.postback({"order_id": conversions.order()}, secret=secret)

    assert (refused.status_code, taken.status_code) == (401, 201)
    admin = conversions.as_role("admin")
    await conversions.client.delete(f"/v1/merchants/{MERCHANT}/postback-credentials/{made_id}", headers=admin)
