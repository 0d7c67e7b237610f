"""What a cap withheld is never lost: finance lets it pass, once, and what follows goes on as if it always had."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from services.commissions.domain.commission import commission_id_of
from services.commissions.verify import verify
from shared.contracts.catalogue import CapV1, OfferChangedV1, offer_key
from shared.contracts.events import encode_event
from shared.contracts.topics import CATALOGUE
from shared.runtime.consumer import Received
from shared.runtime.database import Database
from shared.runtime.projection import apply_projection
from tests.conftest import TestPostgres
from tests.factories.commissions import START, conversion, euros, fresh_id, offer_version
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.ledger import Desk, balances, ledger_sha256, query
from tests.integration.commissions.test_caps import statuses, used

BODY = {"reason_code": "merchant_agreed"}


@dataclass(slots=True)
class Scene:
    """An offer whose budget of 12.00 one sale has used up, and a sale of 100.00 that came after it."""

    api: Reader
    desk: Desk
    offer_id: int
    first: UUID
    late: UUID

    @property
    def path(self) -> str:
        return f"/v1/commissions/{commission_id_of(self.late)}"

    async def tell(self, version: int, status: str, net: int = 10_000, *, of: UUID | None = None) -> None:
        """The next version of the late sale."""
        await self.desk.convert(
            conversion(
                version,
                status,  # type: ignore[arg-type]
                conversion_id=of or self.late,
                offer_id=self.offer_id,
                ordered=euros(10_000),
                net=euros(net),
            )
        )

    async def release(self, **more: Any) -> dict[str, Any]:
        answer = await self.api.send("POST", f"{self.path}/release", "finance", BODY, **more)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest_asyncio.fixture(loop_scope="session")
async def scene(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    clock_file = tmp_path / "clock"
    clock_file.write_text("2026-11-24T09:00:00+00:00")
    desk, offer_id = Desk(worker_database), fresh_id()
    budget = CapV1(name="budget", scope="offer", period="total", amount=euros(1_200))
    await desk.publish(offer_version(offer_id, hold_days=30, caps=[budget]))
    async with commissions_api(postgres.migrate("commissions"), tmp_path, clock_file=clock_file) as api:
        scene = Scene(api, desk, offer_id, uuid4(), uuid4())
        await scene.tell(1, "pending", of=scene.first)
        await scene.tell(1, "pending")
        yield scene


@pytest_asyncio.fixture(loop_scope="session")
async def proof(postgres: TestPostgres) -> AsyncIterator[Any]:
    """Verifies and reprices the whole ledger."""
    database = Database(postgres.migrate("commissions"), role="commissions_staff")

    async def prove() -> None:
        await verify(database, recompute=True)

    yield prove
    await database.close()


async def test_an_affiliate_sees_what_waits_and_why(scene: Scene) -> None:
    answer = await scene.api.get(scene.path, "affiliate", affiliate_id=3)
    listed = await scene.api.get("/v1/commissions", "finance", status="over_cap", offer_id=scene.offer_id)

    found = answer.json()
    assert (found["status"], found["amount"]["amount"]) == ("over_cap", "0.00")
    assert found["withheld"] == {
        "reason": "over_cap",
        "amount": {"amount": "10.00", "currency": "EUR"},
        "charge": None,
        "caps": ["budget"],
    }
    assert [item["withheld"]["charge"]["amount"] for item in listed.json()["items"]] == ["12.00"]


async def test_a_release_after_the_approval_is_payable_when_it_would_have_been(scene: Scene, proof: Any) -> None:
    await scene.tell(2, "approved")

    released = await scene.release()

    assert (released["status"], released["withheld"]) == ("approved", None)
    assert released["payable_at"] == (START + timedelta(minutes=2, days=30)).isoformat().replace("+00:00", "Z")
    assert await balances(scene.desk.database, [scene.late]) == {
        "merchant_receivable:7 EUR": 1_200,
        "affiliate_payable:3 EUR": -1_000,
        "network_margin EUR": -200,
    }
    assert await used(scene.desk.database, scene.offer_id) == {"offer/total/EUR/budget": (1_200, 1_200)}
    await proof()


async def test_whatever_follows_a_release_goes_on_as_always_and_replay_changes_nothing(
    scene: Scene, proof: Any
) -> None:
    await scene.release()

    await scene.tell(2, "pending", 5_000)
    await scene.tell(3, "approved", 5_000)
    halved = await balances(scene.desk.database, [scene.late])
    beside = await used(scene.desk.database, scene.offer_id)
    await scene.tell(4, "reversed", 0)
    before = await ledger_sha256(scene.desk.database)
    for version, status, net in ((1, "pending", 10_000), (2, "pending", 5_000), (4, "reversed", 0)):
        await scene.tell(version, status, net)

    assert halved["affiliate_payable:3 EUR"] == -500
    assert beside == {"offer/total/EUR/budget": (1_200, 600)}
    assert await used(scene.desk.database, scene.offer_id) == {"offer/total/EUR/budget": (1_200, 0)}
    assert await balances(scene.desk.database, [scene.late]) == {}
    assert await ledger_sha256(scene.desk.database) == before
    await proof()


async def test_where_there_is_room_by_now_a_release_counts_under_the_cap(scene: Scene, proof: Any) -> None:
    await scene.tell(2, "reversed", 0, of=scene.first)
    waited = await statuses(scene.desk.database, [scene.late])

    await scene.release()

    assert waited == ["over_cap"]
    assert await used(scene.desk.database, scene.offer_id) == {"offer/total/EUR/budget": (1_200, 0)}
    await proof()


async def test_sent_again_it_is_released_once(scene: Scene) -> None:
    key = uuid4().hex

    first, again = await scene.release(idempotency_key=key), await scene.release(idempotency_key=key)
    refused = await scene.api.send("POST", f"{scene.path}/release", "finance", BODY)

    assert first == again
    assert (refused.status_code, refused.json()["code"]) == (409, "nothing_withheld")
    steps = "SELECT version, n, change, reason_code, actor FROM commission_step WHERE conversion_id = $1 ORDER BY n"
    assert await query(scene.desk.database, steps, scene.late) == [
        (1, 0, "recorded", None, None),
        (1, 1, "released", "merchant_agreed", "key:k"),
    ]


async def test_releases_versions_and_sales_at_once_post_each_once(scene: Scene, proof: Any) -> None:
    more = [uuid4() for _ in range(4)]

    async def release() -> int:
        return (await scene.api.send("POST", f"{scene.path}/release", "finance", BODY)).status_code

    many = {"status": "over_cap", "offer_id": scene.offer_id, "reason_code": "budget_raised"}
    codes, _, _, _ = await asyncio.gather(
        asyncio.gather(*(release() for _ in range(3))),
        scene.api.send("POST", "/v1/commissions/release", "finance", many),
        scene.tell(2, "approved"),
        asyncio.gather(*(scene.tell(1, "pending", of=each) for each in more)),
    )
    await scene.api.send("POST", "/v1/commissions/release", "finance", many)

    assert sorted(codes)[-2:] == [409, 409]
    assert await statuses(scene.desk.database, [scene.late, *more]) == ["approved", *["accrued"] * 4]
    assert await used(scene.desk.database, scene.offer_id) == {"offer/total/EUR/budget": (1_200, 5 * 1_200)}
    await proof()


async def test_a_raise_that_a_cap_refused_is_released_too(scene: Scene, proof: Any) -> None:
    await scene.tell(2, "pending", 5_000, of=scene.first)
    await scene.tell(3, "approved", 20_000, of=scene.first)
    path = f"/v1/commissions/{commission_id_of(scene.first)}"
    waiting = (await scene.api.get(path)).json()

    answer = await scene.api.send("POST", f"{path}/release", "admin", {"reason_code": "goodwill"})

    assert (waiting["amount"]["amount"], waiting["withheld"]["amount"]["amount"]) == ("5.00", "20.00")
    assert (answer.json()["amount"]["amount"], answer.json()["withheld"]) == ("20.00", None)
    assert (await balances(scene.desk.database, [scene.first]))["affiliate_payable:3 EUR"] == -2_000
    assert (await used(scene.desk.database, scene.offer_id))["offer/total/EUR/budget"] == (600, 1_800)
    await proof()


async def test_the_trail_shows_the_release_between_the_versions(scene: Scene) -> None:
    await scene.release()
    await scene.tell(2, "approved")

    trail = (await scene.api.get(f"{scene.path}/trail", "affiliate", affiliate_id=3)).json()

    shown = [(v["version"], v["release_number"], v["change"], v["amount_after"]["amount"]) for v in trail["versions"]]
    assert shown == [(1, 0, "recorded", "0.00"), (1, 1, "released", "10.00"), (2, 0, "recorded", "10.00")]
    assert [posting["reason_code"] for posting in trail["postings"]] == ["merchant_agreed", None]


async def test_many_are_released_at_once_first_recorded_first(scene: Scene, proof: Any) -> None:
    more = [uuid4() for _ in range(4)]
    for place, each in enumerate(more):
        await scene.desk.convert(
            conversion(
                conversion_id=each,
                offer_id=scene.offer_id,
                ordered=euros(5_000),
                occurred_at=START + timedelta(hours=1 + place),
            )
        )
    body = {"status": "over_cap", "offer_id": scene.offer_id, "reason_code": "budget_raised", "limit": 3}

    first = await scene.api.send("POST", "/v1/commissions/release", "finance", body)
    then = await scene.api.send("POST", "/v1/commissions/release", "finance", body)

    assert first.json() == {"released": 3, "over_cap": 0, "still_held": 0, "more": True}
    assert then.json() == {"released": 2, "over_cap": 0, "still_held": 0, "more": False}
    assert await statuses(scene.desk.database, [scene.late, *more]) == ["accrued"] * 5
    assert await used(scene.desk.database, scene.offer_id) == {"offer/total/EUR/budget": (1_200, 1_200 + 4 * 600)}
    await proof()


@pytest.mark.parametrize("role", ["merchant", "affiliate"])
async def test_only_finance_and_admin_release(scene: Scene, role: Any) -> None:
    party = {"merchant_id": 7} if role == "merchant" else {"affiliate_id": 3}

    one = await scene.api.send("POST", f"{scene.path}/release", role, BODY, **party)  # type: ignore[arg-type]
    many = await scene.api.send("POST", "/v1/commissions/release", role, {}, **party)  # type: ignore[arg-type]

    assert (one.status_code, many.status_code) == (403, 403)
    assert await statuses(scene.desk.database, [scene.late]) == ["over_cap"]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (f"/v1/commissions/{uuid4()}/release", BODY, (404, "commission_not_found")),
        ("/v1/commissions/x/release", BODY, (404, "commission_not_found")),
        (None, {"reason_code": "because"}, (422, "validation_failed")),
        (None, {}, (422, "validation_failed")),
    ],
)
async def test_what_is_refused_says_why(
    scene: Scene, path: str | None, body: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = await scene.api.send("POST", path or f"{scene.path}/release", "finance", body)

    assert (answer.status_code, answer.json()["code"]) == expected


async def test_caps_show_limit_reserved_remaining_and_released(scene: Scene) -> None:
    await scene.release()
    raised = [
        CapV1(name="budget", scope="offer", period="total", amount=euros(2_000)),
        CapV1(name="fresh", scope="offer", period="month", count=5, event="sale"),
    ]
    await scene.desk.publish(offer_version(scene.offer_id, 2, caps=raised))
    await tell_of_offer(scene, merchant_id=7)
    path = f"/v1/offers/{scene.offer_id}/caps"

    answer = await scene.api.get(path, "merchant", merchant_id=7)
    foreign = await scene.api.get(path, "merchant", merchant_id=8)
    unknown = await scene.api.get(f"/v1/offers/{fresh_id()}/caps")
    refused = await scene.api.get(path, "affiliate", affiliate_id=3)

    assert (foreign.status_code, unknown.status_code, refused.status_code) == (404, 404, 403)
    found = answer.json()
    assert (found["offer_version"], found["next_cursor"]) == (2, None)
    fresh, budget = found["items"]
    assert (fresh["name"], fresh["period"], fresh["remaining"]["count"]) == ("fresh", "2026-11", 5)
    amounts = {name: budget[name]["amount"]["amount"] for name in ("limit", "reserved", "remaining", "released")}
    assert amounts == {"limit": "20.00", "reserved": "12.00", "remaining": "8.00", "released": "12.00"}


async def tell_of_offer(scene: Scene, *, merchant_id: int) -> None:
    """The offer's own state arrives: its current version is 2."""
    event = OfferChangedV1(
        event_id=uuid4(),
        occurred_at=START,
        offer_id=scene.offer_id,
        merchant_id=merchant_id,
        name="An offer",
        status="active",
        current_version=2,
    )
    key = offer_key(scene.offer_id).encode()
    async with scene.desk.database.transaction() as session:
        await apply_projection(session, [Received(CATALOGUE, 0, 0, key, encode_event(event))])
