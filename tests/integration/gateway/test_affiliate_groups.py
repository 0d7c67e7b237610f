"""Groups of affiliates in dated intervals, and who brought an affiliate."""

import asyncpg
import pytest

from shared.kernel.ids import ID_MAX
from tests.integration.gateway.conftest import GatewayClient, Network, small_network
from tests.integration.gateway.test_catalogue import events_of


async def test_joining_and_leaving_are_dated_and_published_whole(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    path = f"/v1/affiliates/{network.affiliate_id}"

    for method, group in (
        ("PUT", "gold"), ("PUT", "gold"), ("PUT", "a-b_1"), ("DELETE", "gold"), ("DELETE", "gold"), ("PUT", "gold"),
    ):  # fmt: skip
        answer = await admin.call(method, f"{path}/groups/{group}")
        assert answer.status_code == 200, answer.text

    groups = {group["name"]: group["intervals"] for group in (await admin.get(path))["groups"]}
    events = await events_of(connection, f"affiliate:{network.affiliate_id}")
    assert len(events) == 5, "what stands so already is not published again"
    assert [bool(interval["end_at"]) for interval in groups["gold"]] == [True, False]
    assert [bool(interval["end_at"]) for interval in groups["a-b_1"]] == [False]
    last = events[-1].groups
    assert {name: len(intervals) for name, intervals in last.items()} == {"gold": 2, "a-b_1": 1}
    assert last["gold"][0].end_at <= last["gold"][1].start_at
    await admin.post(f"{path}/suspend", expect=200)
    assert (await events_of(connection, f"affiliate:{network.affiliate_id}"))[-1].groups == last


async def test_what_is_no_group_is_refused(admin: GatewayClient, network: Network) -> None:
    path = f"/v1/affiliates/{network.affiliate_id}/groups"

    malformed = await admin.call("PUT", f"{path}/Gold")
    never = await admin.call("DELETE", f"{path}/never")
    nobody = await admin.call("PUT", f"/v1/affiliates/{ID_MAX}/groups/gold")

    assert (malformed.status_code, malformed.json()["errors"][0]["field"]) == (422, "group")
    assert (never.status_code, never.json()["code"]) == (404, "affiliate_group_not_found")
    assert (nobody.status_code, nobody.json()["code"]) == (404, "affiliate_not_found")
    assert (await admin.get(f"/v1/affiliates/{network.affiliate_id}"))["groups"] == []


async def test_groups_have_a_limit(admin: GatewayClient, connection: "asyncpg.Connection") -> None:
    affiliate_id = (await admin.post("/v1/affiliates", {"name": "Many"}))["id"]
    await connection.execute(
        "INSERT INTO affiliate_group SELECT $1, 'g' || n, 1, now() FROM generate_series(1, 50) n", affiliate_id
    )

    refused = await admin.call("PUT", f"/v1/affiliates/{affiliate_id}/groups/one-more")
    again = await admin.call("PUT", f"/v1/affiliates/{affiliate_id}/groups/g1")

    assert (refused.status_code, refused.json()["code"]) == (409, "affiliate_groups_exhausted")
    assert again.status_code == 200


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE affiliate_group SET end_at = now() WHERE end_at IS NOT NULL",
        "UPDATE affiliate_group SET end_at = NULL WHERE end_at IS NOT NULL",
        "DELETE FROM affiliate_group",
        "TRUNCATE affiliate_group",
    ],
)
async def test_the_database_refuses_to_rewrite_an_interval(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection", statement: str
) -> None:
    for method in ("PUT", "DELETE"):
        await admin.call(method, f"/v1/affiliates/{network.affiliate_id}/groups/gold")

    with pytest.raises(asyncpg.RestrictViolationError):
        await connection.execute(statement)


async def test_who_brought_an_affiliate_is_said_once_and_published(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    brought = await admin.post("/v1/affiliates", {"name": "Friend", "referred_by": network.affiliate_id})

    [event] = await events_of(connection, f"affiliate:{brought['id']}")
    assert brought["referred_by"] == event.referred_by == network.affiliate_id
    assert await admin.get(f"/v1/affiliates/{brought['id']}") == brought
    refused = await admin.post("/v1/affiliates", {"name": "X", "referred_by": ID_MAX}, expect=422)
    assert [(e["field"], e["code"]) for e in refused["errors"]] == [("referred_by", "affiliate_unknown")]


async def test_no_chain_of_referrals_comes_back_to_its_beginning(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    """Nothing in the interface changes a referrer; and the database takes only one who was there before."""
    brought = (await admin.post("/v1/affiliates", {"name": "B", "referred_by": network.affiliate_id}))["id"]

    for referrer in (brought, network.affiliate_id):
        with pytest.raises(asyncpg.CheckViolationError):
            await connection.execute(
                "UPDATE affiliate SET referred_by = $1 WHERE affiliate_id = $2", referrer, network.affiliate_id
            )


async def test_only_admins_read_and_change_groups(admin: GatewayClient, network: Network) -> None:
    other = await small_network(admin)

    for client in (network.affiliate, network.merchant, network.finance):
        for method in ("PUT", "DELETE"):
            answer = await client.call(method, f"/v1/affiliates/{other.affiliate_id}/groups/gold")
            assert answer.status_code == 403
        await client.get(f"/v1/affiliates/{other.affiliate_id}", expect=403)
