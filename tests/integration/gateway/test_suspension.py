"""A suspended party acts no more: its keys open nothing, everyone is told, and it comes back as it was."""

import asyncio
from pathlib import Path
from typing import Literal

import asyncpg
import pytest

from services.gateway.api.key_desk import FRESH_SECONDS
from tests.conftest import TestPostgres
from tests.integration.gateway.conftest import GatewayClient, Network, gateway, settings_for
from tests.integration.gateway.test_catalogue import events_of

Kind = Literal["merchant", "affiliate"]
KINDS: tuple[Kind, ...] = ("merchant", "affiliate")


def _path(network: Network, kind: Kind) -> str:
    return f"/v1/{kind}s/{getattr(network, f'{kind}_id')}"


def _client(network: Network, kind: Kind) -> GatewayClient:
    client: GatewayClient = getattr(network, kind)
    return client


@pytest.mark.parametrize("kind", KINDS)
async def test_its_keys_open_nothing_until_it_is_reinstated(admin: GatewayClient, network: Network, kind: Kind) -> None:
    client, path = _client(network, kind), _path(network, kind)
    key_id = (await client.get("/v1/me"))["key_id"]

    suspended = await admin.post(f"{path}/suspend", expect=200)
    await client.get("/v1/me", expect=401)
    shown = await admin.get(path)
    others = [await _client(network, other).get("/v1/me") for other in KINDS if other != kind]
    reinstated = await admin.post(f"{path}/reinstate", expect=200)

    assert (suspended["status"], shown["status"], reinstated["status"]) == ("suspended", "suspended", "active")
    assert len(others) == 1
    assert (await client.get("/v1/me"))["key_id"] == key_id


@pytest.mark.parametrize("kind", KINDS)
async def test_everyone_is_told_once(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection", kind: Kind
) -> None:
    path = _path(network, kind)

    for step in ("suspend", "suspend", "reinstate", "reinstate"):
        await admin.post(f"{path}/{step}", expect=200)

    events = await events_of(connection, f"{kind}:{path.rpartition('/')[2]}")
    assert [event.status for event in events] == ["active", "suspended", "active"]
    assert len({event.name for event in events}) == 1


async def test_another_gateway_notices_within_its_memory_of_a_key(
    postgres: TestPostgres, gateway_folder: Path, admin: GatewayClient, network: Network
) -> None:
    async with gateway(settings_for(postgres, gateway_folder)) as elsewhere:
        there = elsewhere.as_key(network.affiliate.key)
        await there.get("/v1/me")

        await admin.post(f"{_path(network, 'affiliate')}/suspend", expect=200)
        await asyncio.sleep(FRESH_SECONDS)

        await there.get("/v1/me", expect=401)
    await admin.post(f"{_path(network, 'affiliate')}/reinstate", expect=200)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("step", ["suspend", "reinstate"])
async def test_an_unknown_party_is_404(admin: GatewayClient, kind: Kind, step: str) -> None:
    answer = await admin.post(f"/v1/{kind}s/2000000000/{step}", expect=404)

    assert answer["code"] == f"{kind}_not_found"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_suspension_sent_again_gets_the_same_answer(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection", kind: Kind
) -> None:
    path, key = _path(network, kind), f"suspend-{_path(network, kind)}"

    first = await admin.call("POST", f"{path}/suspend", Idempotency_Key=key)
    await admin.post(f"{path}/reinstate", expect=200)
    again = await admin.call("POST", f"{path}/suspend", Idempotency_Key=key)

    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert (await admin.get(path))["status"] == "active"


async def test_the_door_reads_no_names(postgres: TestPostgres, admin: GatewayClient) -> None:
    connection = await asyncpg.connect(postgres.url("gateway"), server_settings={"role": "gateway_intake"})
    try:
        await connection.fetch("SELECT merchant_id, status FROM merchant")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.fetch("SELECT name FROM merchant")
    finally:
        await connection.close()
