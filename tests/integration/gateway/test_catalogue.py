"""Merchants, affiliates, offers and enrolments over HTTP, with their events in the outbox."""

from typing import Any

import asyncpg
import pytest

from shared.contracts.catalogue import CATALOGUE_DECODER
from tests.factories.gateway import flat_term, offer_body, percentage_term, version_body
from tests.integration.gateway.conftest import GatewayClient, Network


async def events_of(connection: "asyncpg.Connection", key: str) -> list[Any]:
    """The events of one catalogue key, in the outbox's order."""
    rows = await connection.fetch("SELECT payload FROM outbox WHERE key = $1 ORDER BY id", key.encode())
    return [CATALOGUE_DECODER.decode(bytes(row["payload"])) for row in rows]


async def test_a_new_merchant_is_published_whole(admin: GatewayClient, connection: "asyncpg.Connection") -> None:
    merchant = await admin.post("/v1/merchants", {"name": "Shoe Shop"})

    [event] = await events_of(connection, f"merchant:{merchant['id']}")
    assert (event.merchant_id, event.name, event.status) == (merchant["id"], "Shoe Shop", "active")
    assert await admin.get(f"/v1/merchants/{merchant['id']}") == merchant


async def test_a_new_affiliate_is_published_whole(admin: GatewayClient, connection: "asyncpg.Connection") -> None:
    affiliate = await admin.post("/v1/affiliates", {"name": "Blog"})

    [event] = await events_of(connection, f"affiliate:{affiliate['id']}")
    assert (event.affiliate_id, event.name, event.status) == (affiliate["id"], "Blog", "active")
    assert affiliate in (await admin.get("/v1/affiliates?limit=200"))["items"]


async def test_a_new_offer_publishes_version_one_and_then_the_offer(
    admin: GatewayClient, connection: "asyncpg.Connection"
) -> None:
    merchant_id = (await admin.post("/v1/merchants", {"name": "Shop"}))["id"]

    body = offer_body(
        merchant_id,
        fallback_url="https://shop.example/closed",
        terms=[percentage_term(rate="10.50"), flat_term(amount="500", margin="50", currency="JPY")],
    )
    offer = await admin.post("/v1/offers", body)

    [changed] = await events_of(connection, f"offer:{offer['id']}")
    [version] = await events_of(connection, f"offer:{offer['id']}:v1")
    assert (changed.current_version, changed.status, changed.fallback_url) == (1, "active", body["fallback_url"])
    assert (version.landing_template, version.allowed_hosts) == (body["landing_template"], body["allowed_hosts"])
    assert [term.rate_percent for term in version.terms] == ["10.5", None]
    assert version.terms[1].flat_amount.amount_minor == 500
    assert offer["version"]["terms"][1]["amount"] == {"amount": "500", "currency": "JPY"}
    order = await connection.fetch(
        "SELECT convert_from(key, 'UTF8') AS key FROM outbox WHERE key LIKE $1 ORDER BY id",
        f"offer:{offer['id']}%".encode(),
    )
    assert [row["key"] for row in order] == [f"offer:{offer['id']}:v1", f"offer:{offer['id']}"]


async def test_a_new_version_moves_the_offer_and_leaves_the_old_one(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    path = f"/v1/offers/{network.offer_id}"
    before = await admin.get(path)

    after = await admin.post(f"{path}/versions", version_body(terms=[percentage_term(rate="20")]))

    assert (after["current_version"], after["version"]["version"]) == (2, 2)
    assert await admin.get(f"{path}/versions/1") == before["version"]
    assert [v["version"] for v in (await admin.get(f"{path}/versions"))["items"]] == [1, 2]
    assert [e.current_version for e in await events_of(connection, f"offer:{network.offer_id}")] == [1, 2]
    assert len(await events_of(connection, f"offer:{network.offer_id}:v2")) == 1


@pytest.mark.parametrize("statement", ["UPDATE offer_version SET late_hours = 1", "DELETE FROM offer_version"])
async def test_the_database_refuses_to_change_a_published_version(
    network: Network, connection: "asyncpg.Connection", statement: str
) -> None:
    del network
    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(statement)


async def test_an_offer_pauses_resumes_and_ends_for_ever(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    path = f"/v1/offers/{network.offer_id}"

    statuses = [
        (await admin.post(f"{path}/{verb}", expect=200))["status"] for verb in ("pause", "pause", "resume", "end")
    ]

    assert statuses == ["paused", "paused", "active", "ended"]
    published = [event.status for event in await events_of(connection, f"offer:{network.offer_id}")]
    assert published == ["active", "paused", "active", "ended"]
    assert (await admin.post(f"{path}/resume", expect=409))["code"] == "offer_transition_refused"
    assert (await admin.post(f"{path}/versions", version_body(), expect=409))["code"] == "offer_ended"


async def test_an_application_is_approved_ended_and_opened_again(
    network: Network, connection: "asyncpg.Connection"
) -> None:
    applied = await network.affiliate.post(f"/v1/offers/{network.offer_id}/applications")
    path = f"/v1/enrolments/{applied['id']}"

    approved = await network.merchant.post(f"{path}/approve", expect=200)
    ended = await network.merchant.post(f"{path}/end", expect=200)
    await network.affiliate.post(f"/v1/offers/{network.offer_id}/applications")
    again = await network.merchant.post(f"{path}/approve", expect=200)

    assert [e["status"] for e in (applied, approved, ended, again)] == ["applied", "approved", "ended", "approved"]
    first, second = again["intervals"]
    assert first["start_at"] < first["end_at"] <= second["start_at"]
    assert second["end_at"] is None
    key = f"enrolment:{network.offer_id}:{network.affiliate_id}"
    assert [len(event.intervals) for event in await events_of(connection, key)] == [0, 1, 1, 1, 2]


async def test_an_admin_enrols_at_once(admin: GatewayClient, network: Network) -> None:
    body = {"offer_id": network.offer_id, "affiliate_id": network.affiliate_id}

    enrolment = await admin.post("/v1/enrolments", body)

    assert (enrolment["status"], len(enrolment["intervals"])) == ("approved", 1)
    assert await admin.post("/v1/enrolments", body) == enrolment
    refused = await network.affiliate.post(f"/v1/offers/{network.offer_id}/applications", expect=409)
    assert refused["code"] == "already_enrolled"


async def test_a_rejected_application_may_be_made_again(network: Network) -> None:
    applied = await network.affiliate.post(f"/v1/offers/{network.offer_id}/applications")

    rejected = await network.merchant.post(f"/v1/enrolments/{applied['id']}/reject", expect=200)

    assert (rejected["status"], rejected["intervals"]) == ("rejected", [])
    assert (await network.affiliate.post(f"/v1/offers/{network.offer_id}/applications"))["status"] == "applied"


async def test_unknown_parties_are_named(admin: GatewayClient) -> None:
    answer = await admin.post("/v1/offers", offer_body(2_000_000_000), expect=422)
    assert answer["errors"][0]["field"] == "merchant_id"

    answer = await admin.post("/v1/enrolments", {"offer_id": 2_000_000_000, "affiliate_id": 1}, expect=422)
    assert answer["errors"][0]["field"] == "offer_id"
