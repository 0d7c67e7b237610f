"""Each privileged write and each denial at the gateway leaves exactly one entry (T55), for every route of the table."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.gateway.domain.api_keys import key_id_of
from services.gateway.domain.routes import ROUTES, Route
from tests.conftest import TestPostgres
from tests.factories.gateway import offer_body, version_body
from tests.integration.audit.chain import Chain
from tests.integration.gateway.conftest import GatewayClient, Network, gateway, settings_for, small_network

KEYED = [route for route in ROUTES if not route.is_anonymous]
POSTBACKS = {"POST /v1/conversions"}
"""A postback with an API key: its receipt is its record."""

WRITES = [route for route in KEYED if route.method != "GET" and f"{route.method} {route.template}" not in POSTBACKS]
OWN_WRITES = [route for route in WRITES if route.owner == "gateway"]


def _name(route: Route) -> str:
    return f"{route.method} {route.template}"


@dataclass(frozen=True, slots=True)
class Stage:
    admin: GatewayClient
    network: Network
    chain: Chain

    async def enrolment(self, *, status: str = "applied") -> int:
        """A new affiliate's enrolment in the network's offer."""
        affiliate_id = (await self.admin.post("/v1/affiliates", {"name": "A"}))["id"]
        key = (await self.admin.post("/v1/keys", {"role": "affiliate", "affiliate_id": affiliate_id}))["key"]
        enrolled = await self.admin.as_key(key).post(f"/v1/offers/{self.network.offer_id}/applications")
        if status == "approved":
            await self.admin.post(f"/v1/enrolments/{enrolled['id']}/approve", expect=200)
        number: int = enrolled["id"]
        return number

    async def party(self, kind: str, *, suspended: bool = False) -> int:
        number: int = (await self.admin.post(f"/v1/{kind}s", {"name": "P"}))["id"]
        if suspended:
            await self.admin.post(f"/v1/{kind}s/{number}/suspend", expect=200)
        return number

    async def offer(self, *, status: str = "active") -> int:
        number: int = (await self.admin.post("/v1/offers", offer_body(self.network.merchant_id)))["id"]
        if status == "paused":
            await self.admin.post(f"/v1/offers/{number}/pause", expect=200)
        return number

    async def group_member(self) -> int:
        number = await self.party("affiliate")
        assert (await self.admin.call("PUT", f"/v1/affiliates/{number}/groups/gold")).status_code == 200
        return number

    async def key(self) -> str:
        key_id: str = (await self.admin.post("/v1/keys", {"role": "finance"}))["id"]
        return key_id


Recipe = Callable[[Stage], Awaitable[tuple[str, Any]]]
"""Gives the path of a write that will be done, and its body."""


async def _affiliates_application(stage: Stage) -> tuple[str, Any]:
    return f"/v1/offers/{stage.network.offer_id}/applications", None


async def _new_enrolment(stage: Stage) -> tuple[str, Any]:
    affiliate_id = await stage.party("affiliate")
    return "/v1/enrolments", {"offer_id": stage.network.offer_id, "affiliate_id": affiliate_id}


def _fixed(path: str, body: Callable[[Stage], Any]) -> Recipe:
    async def recipe(stage: Stage) -> tuple[str, Any]:
        return path, body(stage)

    return recipe


def _on(path: str, thing: Callable[[Stage], Awaitable[Any]], body: Any = None) -> Recipe:
    async def recipe(stage: Stage) -> tuple[str, Any]:
        return path.format(await thing(stage)), body

    return recipe


def _party(kind: str, *, suspended: bool = False) -> Callable[[Stage], Awaitable[int]]:
    return lambda stage: stage.party(kind, suspended=suspended)


RECIPES: dict[str, Recipe] = {
    "POST /v1/merchants": _fixed("/v1/merchants", lambda _: {"name": "M"}),
    "POST /v1/affiliates": _fixed("/v1/affiliates", lambda _: {"name": "A"}),
    "POST /v1/offers": _fixed("/v1/offers", lambda stage: offer_body(stage.network.merchant_id)),
    "POST /v1/keys": _fixed("/v1/keys", lambda _: {"role": "finance"}),
    "POST /v1/enrolments": _new_enrolment,
    "POST /v1/offers/{offer_id}/applications": _affiliates_application,
    "POST /v1/offers/{offer_id}/versions": _on("/v1/offers/{}/versions", Stage.offer, version_body()),
    "POST /v1/offers/{offer_id}/pause": _on("/v1/offers/{}/pause", Stage.offer),
    "POST /v1/offers/{offer_id}/resume": _on("/v1/offers/{}/resume", lambda stage: stage.offer(status="paused")),
    "POST /v1/offers/{offer_id}/end": _on("/v1/offers/{}/end", Stage.offer),
    "POST /v1/enrolments/{enrolment_id}/approve": _on("/v1/enrolments/{}/approve", Stage.enrolment),
    "POST /v1/enrolments/{enrolment_id}/reject": _on("/v1/enrolments/{}/reject", Stage.enrolment),
    "POST /v1/enrolments/{enrolment_id}/end": _on(
        "/v1/enrolments/{}/end", lambda stage: stage.enrolment(status="approved")
    ),
    "POST /v1/keys/{key_id}/rotate": _on("/v1/keys/{}/rotate", Stage.key),
    "DELETE /v1/keys/{key_id}": _on("/v1/keys/{}", Stage.key),
    "PUT /v1/affiliates/{affiliate_id}/groups/{group}": _on("/v1/affiliates/{}/groups/gold", _party("affiliate")),
    "DELETE /v1/affiliates/{affiliate_id}/groups/{group}": _on("/v1/affiliates/{}/groups/gold", Stage.group_member),
    "POST /v1/merchants/{merchant_id}/suspend": _on("/v1/merchants/{}/suspend", _party("merchant")),
    "POST /v1/affiliates/{affiliate_id}/suspend": _on("/v1/affiliates/{}/suspend", _party("affiliate")),
    "POST /v1/merchants/{merchant_id}/reinstate": _on("/v1/merchants/{}/reinstate", _party("merchant", suspended=True)),
    "POST /v1/affiliates/{affiliate_id}/reinstate": _on(
        "/v1/affiliates/{}/reinstate", _party("affiliate", suspended=True)
    ),
}


@pytest.fixture(scope="module")
async def stage(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    folder: Path = tmp_path_factory.mktemp("audit-gateway")
    settings = settings_for(postgres, folder, limit_failure_burst=10_000, limit_failure_per_second=10_000)
    async with gateway(settings) as admin:
        yield Stage(admin, await small_network(admin), Chain(postgres, "gateway"))


def _path(route: Route) -> str:
    return "/".join("2000000000" if part.startswith("{") else part for part in route.template.split("/"))


def _request_id(answer: httpx.Response) -> str:
    return answer.headers["X-Request-Id"]


def test_every_write_of_the_table_has_a_recipe() -> None:
    """A new route that writes is not tested before it stands here: and it needs an entry."""
    assert set(RECIPES) == {_name(route) for route in OWN_WRITES}


@pytest.mark.parametrize("route", OWN_WRITES, ids=_name)
async def test_a_write_has_exactly_one_entry_and_its_repetition_none(stage: Stage, route: Route) -> None:
    path, body = await RECIPES[_name(route)](stage)
    caller = stage.network.affiliate if "affiliate" in route.roles else stage.admin
    key = uuid4().hex

    answer = await caller.call(route.method, path, json=body, Idempotency_Key=key)
    again = await caller.call(route.method, path, json=body, Idempotency_Key=key)

    assert answer.status_code in (200, 201), answer.text
    (entry,) = await stage.chain.entries_of(_request_id(answer))
    assert caller.key is not None
    assert (entry["action"], entry["outcome"], entry["code"]) == (_name(route), "done", None)
    assert entry["key_id"] == key_id_of(caller.key)
    assert entry["role"] == ("affiliate" if "affiliate" in route.roles else "admin")
    assert entry["affiliate_id"] == (stage.network.affiliate_id if "affiliate" in route.roles else None)
    assert entry["after_hash"] is not None
    assert entry["after_hash"] != entry["before_hash"]
    is_new = route.template.count("/") == 2 or route.template.endswith("applications")
    assert (entry["before_hash"] is None) == is_new
    if route.template != "/v1/keys/{key_id}/rotate":
        assert str(answer.json()["id"]) == entry["object_id"]
    assert again.headers.get("Idempotent-Replayed") == "true" or again.status_code == 409
    assert await stage.chain.entries_of(_request_id(again)) == []


async def test_a_write_that_finds_all_as_asked_for_has_an_entry_that_says_so(stage: Stage) -> None:
    offer_id = await stage.offer(status="paused")

    answer = await stage.admin.call("POST", f"/v1/offers/{offer_id}/pause")

    (entry,) = await stage.chain.entries_of(_request_id(answer))
    assert entry["before_hash"] == entry["after_hash"]


async def test_every_denial_at_the_door_has_exactly_one_entry(stage: Stage) -> None:
    """Every keyed route, with a key that opens nothing, and with a good key of each role that may not."""
    clients = {
        "admin": stage.admin,
        "merchant": stage.network.merchant,
        "affiliate": stage.network.affiliate,
        "finance": stage.network.finance,
    }
    stranger = stage.admin.as_key(f"trb_admin_abcdefgh_{'x' * 32}")
    expected: dict[str, tuple[str, str, str | None, str]] = {}
    for route in KEYED:
        refused = await stranger.call(route.method, _path(route), json={} if route.method == "POST" else None)
        assert refused.status_code == 401
        expected[_request_id(refused)] = (_name(route), "nobody", None, "unauthenticated")
        for role, client in clients.items():
            if role in route.roles:
                continue
            refused = await client.call(route.method, _path(route), json={} if route.method == "POST" else None)
            assert refused.status_code == 403, refused.text
            assert client.key is not None
            expected[_request_id(refused)] = (_name(route), role, key_id_of(client.key), "role_not_allowed")

    found = await stage.chain.entries_of_all(list(expected))

    wrong = {
        request_id: (what, [dict(entry) for entry in found[request_id]])
        for request_id, what in expected.items()
        if [(e["action"], e["role"], e["key_id"], e["code"]) for e in found[request_id]] != [what]
    }
    assert wrong == {}
    assert len(expected) > 100
    assert {e["object_id"] for entries in found.values() for e in entries if e["role"] == "nobody"} == {"abcdefgh"}


async def test_a_refusal_by_rule_has_one_entry_and_a_mistake_has_none(stage: Stage) -> None:
    offer_id = await stage.offer()
    await stage.admin.post(f"/v1/offers/{offer_id}/end", expect=200)

    refused = await stage.admin.call("POST", f"/v1/offers/{offer_id}/resume")
    mistakes = [
        await stage.admin.call("POST", "/v1/offers/2000000000/resume"),
        await stage.admin.call("POST", "/v1/merchants", json={"name": 7}),
        await stage.admin.as_key(None).call("GET", "/v1/me"),
        await stage.admin.call("GET", "/v1/nothing"),
    ]

    found = await stage.chain.entries_of_all([_request_id(refused)])
    (entry,) = found[_request_id(refused)]
    assert refused.status_code == 409
    assert (entry["outcome"], entry["code"]) == ("denied", "offer_transition_refused")
    assert (entry["object_type"], entry["object_id"]) == ("offer", str(offer_id))
    assert [answer.status_code for answer in mistakes] == [404, 422, 401, 404]
    for answer in mistakes:
        assert await stage.chain.entries_of(_request_id(answer)) == []


async def test_a_foreign_id_is_entered_and_answered_like_one_that_nobody_has(stage: Stage) -> None:
    other = await small_network(stage.admin)
    applied = await other.affiliate.post(f"/v1/offers/{other.offer_id}/applications")
    merchant = stage.network.merchant

    foreign = [
        await merchant.call("POST", f"/v1/enrolments/{applied['id']}/approve"),
        await merchant.call("GET", f"/v1/offers/{other.offer_id}/versions/1"),
    ]
    unknown = [
        await merchant.call("POST", "/v1/enrolments/2000000000/approve"),
        await merchant.call("GET", "/v1/offers/2000000000/versions/1"),
    ]

    found = await stage.chain.entries_of_all([_request_id(answer) for answer in foreign])
    for theirs, nobodys in zip(foreign, unknown, strict=True):
        (entry,) = found[_request_id(theirs)]
        assert (entry["outcome"], entry["merchant_id"]) == ("denied", stage.network.merchant_id)
        assert {**theirs.json(), "request_id": ""} == {**nobodys.json(), "request_id": ""}
        assert await stage.chain.entries_of(_request_id(nobodys)) == []


async def test_an_entry_never_commits_without_its_effect_nor_an_effect_without_its_entry(stage: Stage) -> None:
    """While entries are impossible, so are writes: here the chain's table refuses them."""
    refuse = "ALTER TABLE audit_entry ADD CONSTRAINT nothing CHECK (object_type <> 'merchant') NOT VALID"
    merchants = "SELECT max(merchant_id) AS n FROM merchant WHERE name = 'No entry'"
    await stage.chain.query(refuse)
    try:
        answer = await stage.admin.call("POST", "/v1/merchants", json={"name": "No entry"})
    finally:
        await stage.chain.query("ALTER TABLE audit_entry DROP CONSTRAINT nothing")

    assert answer.status_code == 500
    assert (await stage.chain.query(merchants))[0]["n"] is None


async def test_writes_at_once_leave_one_entry_each_and_a_whole_chain(stage: Stage) -> None:
    offer_id = await stage.offer()
    answers = await asyncio.gather(
        *(stage.admin.call("POST", "/v1/merchants", json={"name": f"M{n}"}) for n in range(20)),
        *(stage.admin.call("POST", f"/v1/offers/{offer_id}/pause") for _ in range(10)),
    )

    for answer in answers:
        assert answer.status_code in (200, 201)
        assert len(await stage.chain.entries_of(_request_id(answer))) == 1
    assert await stage.chain.verify() > 30


async def test_admins_read_the_chain_page_by_page_and_nobody_else_does(stage: Stage) -> None:
    offer_id = await stage.offer(status="paused")
    await stage.admin.post(f"/v1/offers/{offer_id}/resume", expect=200)

    first = await stage.admin.get(f"/v1/audit/gateway?object_type=offer&object_id={offer_id}&limit=2")
    second = await stage.admin.get(
        f"/v1/audit/gateway?object_type=offer&object_id={offer_id}&limit=2&cursor={first['next_cursor']}"
    )
    paused = await stage.admin.get(
        f"/v1/audit/gateway?action=POST%20/v1/offers/%7Boffer_id%7D/pause&object_id={offer_id}&from=2020-01-01T00:00:00Z"
    )
    for client in (stage.network.merchant, stage.network.affiliate, stage.network.finance):
        await client.get("/v1/audit/gateway", expect=403)

    actions = [entry["action"].rpartition("/")[2] for entry in first["items"] + second["items"]]
    assert actions == ["resume", "pause", "offers"]
    assert second["next_cursor"] is None
    assert [entry["number"] for entry in paused["items"]] == [first["items"][1]["number"]]
    assert paused["items"][0]["request_id"]
