"""Many at once: numbers stay gapless, events stay in order, and a lost database is said so."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest

from services.gateway.domain.routes import ROUTES, RouteTable
from tests.factories.gateway import version_body
from tests.integration.gateway.conftest import GatewayClient, Network
from tests.integration.gateway.test_catalogue import events_of


async def test_versions_published_at_once_are_numbered_without_gaps(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    path = f"/v1/offers/{network.offer_id}"
    bodies = [version_body(late_hours=hours) for hours in range(8)]

    answers = await asyncio.gather(*(admin.post(f"{path}/versions", body) for body in bodies))

    assert sorted(answer["current_version"] for answer in answers) == list(range(2, 10))
    published = [event.current_version for event in await events_of(connection, f"offer:{network.offer_id}")]
    assert published == list(range(1, 10))
    for answer in answers:
        [event] = await events_of(connection, f"offer:{network.offer_id}:v{answer['current_version']}")
        assert event.late_hours == answer["version"]["late_hours"]


async def test_applications_and_decisions_at_once_leave_one_enrolment(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    apply = f"/v1/offers/{network.offer_id}/applications"
    await asyncio.gather(*(network.affiliate.call("POST", apply) for _ in range(6)))
    [enrolment] = (await network.merchant.get("/v1/enrolments"))["items"]
    path = f"/v1/enrolments/{enrolment['id']}"

    for verb in ("approve", "end", "approve"):
        await asyncio.gather(*(client.post(f"{path}/{verb}", expect=200) for client in [admin, network.merchant] * 3))

    key = f"enrolment:{network.offer_id}:{network.affiliate_id}"
    assert [len(event.intervals) for event in await events_of(connection, key)] == [0, 1, 1, 2]
    assert len((await admin.get(path))["intervals"]) == 2


async def test_an_enrolment_that_is_refused_leaves_no_trace(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection"
) -> None:
    before = await connection.fetchval("SELECT count(*) FROM outbox")

    await admin.post("/v1/enrolments", {"offer_id": network.offer_id, "affiliate_id": 2_000_000_000}, expect=422)

    assert await connection.fetchval("SELECT count(*) FROM outbox") == before


async def test_a_lost_connection_is_503_and_heals(admin: GatewayClient, connection: "asyncpg.Connection") -> None:
    await admin.get("/v1/merchants")

    await connection.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'gateway-staff'"
    )
    await asyncio.sleep(0.1)
    answer = await admin.call("GET", "/v1/merchants")

    assert answer.status_code in (200, 503)
    if answer.status_code == 503:
        assert (answer.json()["code"], answer.headers["retry-after"]) == ("database_unavailable", "1")
    await admin.get("/v1/merchants")


async def test_a_locked_row_is_504_after_the_deadline_and_not_for_ever(
    admin: GatewayClient, network: Network, connection: "asyncpg.Connection", monkeypatch: pytest.MonkeyPatch
) -> None:
    path = f"/v1/offers/{network.offer_id}/pause"
    route = next(r for r in ROUTES if r.template == "/v1/offers/{offer_id}/pause")
    monkeypatch.setattr(RouteTable, "find", lambda *_: replace(route, deadline_seconds=0.3))
    async with connection.transaction():
        await connection.execute("SELECT FROM offer WHERE offer_id = $1 FOR UPDATE", network.offer_id)

        answer = await admin.call("POST", path)

    assert (answer.status_code, answer.json()["code"]) == (504, "upstream_timeout")
    monkeypatch.undo()
    assert (await admin.get(f"/v1/offers/{network.offer_id}"))["status"] == "active"
