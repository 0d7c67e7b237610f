"""Idempotency-Key: the same write once, the same answer again."""

import asyncio

import asyncpg

from tests.integration.gateway.conftest import GatewayClient, Network


async def test_the_same_request_gets_the_same_answer_and_no_second_effect(
    admin: GatewayClient, connection: "asyncpg.Connection"
) -> None:
    body = {"name": "Once"}
    before = await connection.fetchval("SELECT count(*) FROM merchant")

    first = await admin.call("POST", "/v1/merchants", json=body, Idempotency_Key="merchant-once")
    again = await admin.call("POST", "/v1/merchants", json=body, Idempotency_Key="merchant-once")

    assert (first.status_code, again.status_code, again.content) == (201, 201, first.content)
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert await connection.fetchval("SELECT count(*) FROM merchant") == before + 1


async def test_another_body_or_path_under_the_same_key_is_refused(admin: GatewayClient) -> None:
    await admin.post("/v1/merchants", {"name": "A"}, Idempotency_Key="reused")

    for path, name in (("/v1/merchants", "B"), ("/v1/affiliates", "A")):
        answer = await admin.post(path, {"name": name}, expect=422, Idempotency_Key="reused")
        assert answer["code"] == "idempotency_key_reused"


async def test_concurrent_requests_under_one_key_have_one_effect(
    admin: GatewayClient, connection: "asyncpg.Connection"
) -> None:
    calls = [admin.call("POST", "/v1/merchants", json={"name": "Race"}, Idempotency_Key="race") for _ in range(10)]

    answers = await asyncio.gather(*calls)

    assert {answer.status_code for answer in answers} <= {201, 409}
    assert {answer.json()["code"] for answer in answers if answer.status_code == 409} <= {"idempotency_in_progress"}
    assert await connection.fetchval("SELECT count(*) FROM merchant WHERE name = 'Race'") == 1


async def test_a_refusal_is_judged_afresh(admin: GatewayClient) -> None:
    await admin.post("/v1/merchants", {"name": ""}, expect=422, Idempotency_Key="mended")

    await admin.post("/v1/merchants", {"name": "Mended"}, Idempotency_Key="mended")


async def test_keys_of_two_tenants_do_not_meet(admin: GatewayClient, network: Network) -> None:
    from tests.integration.gateway.conftest import small_network

    other = await small_network(admin)

    for tenant in (network, other):
        applied = await tenant.affiliate.call(
            "POST", f"/v1/offers/{tenant.offer_id}/applications", Idempotency_Key="apply-1"
        )
        assert applied.status_code == 201
        assert "idempotent-replayed" not in applied.headers


async def test_a_malformed_idempotency_key_is_refused(admin: GatewayClient) -> None:
    for key in ("", " ", "x" * 129):
        answer = await admin.post("/v1/merchants", {"name": "A"}, expect=422, Idempotency_Key=key)
        assert answer["errors"][0]["field"] == "Idempotency-Key"
