"""Each privileged write and each denial at conversions leaves exactly one entry (T55), for its routes of the table."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest

from services.gateway.domain.routes import ROUTES, Route
from shared.kernel.click_id import ClickFlags
from tests.conftest import TestPostgres
from tests.factories.conversions import MERCHANT, OTHER_MERCHANT, ConversionsService, running_conversions
from tests.integration.audit.chain import Chain
from tests.integration.conversions.test_api import sale

WRITES = [
    route
    for route in ROUTES
    if route.owner == "conversions"
    and not route.is_anonymous
    and route.method != "GET"
    and route.template != "/v1/conversions"  # a postback with an API key: its receipt is its record
]
ERASURES = "/v1/erasures"
BULK = "/v1/conversions/bulk"
CREDENTIALS = f"/v1/merchants/{MERCHANT}/postback-credentials"


def _name(route: Route) -> str:
    return f"{route.method} {route.template}"


@dataclass(frozen=True, slots=True)
class Stage:
    service: ConversionsService
    chain: Chain

    async def call(self, role: str, method: str, path: str, json: Any = None, *, key: str = "") -> httpx.Response:
        party = MERCHANT if role == "merchant" else None
        headers = self.service.as_role(role, party) | ({"Idempotency-Key": key} if key else {})
        return await self.service.client.request(method, path, json=json, headers=headers)

    async def conversion(self, *, held: bool = False) -> str:
        """A conversion: pending, or held because a robot clicked."""
        made = await sale(self.service, flags=ClickFlags.ROBOT if held else ClickFlags.NONE)
        number: str = made["conversion_id"]
        return number

    async def credential(self) -> str:
        answer = await self.call("merchant", "POST", CREDENTIALS, {"kind": "token"})
        assert answer.status_code == 201, answer.text
        number: str = answer.json()["id"]
        return number


Recipe = Callable[[Stage], Awaitable[tuple[str, Any]]]


def _act(verb: str, body: Any = None, *, held: bool = False) -> Recipe:
    async def recipe(stage: Stage) -> tuple[str, Any]:
        conversion_id = await stage.conversion(held=held)
        return f"/v1/conversions/{conversion_id}/{verb}", body

    return recipe


async def _bulk(stage: Stage) -> tuple[str, Any]:
    return BULK, {"rows": [{"ref": await stage.conversion(), "action": "approve"}]}


async def _new_credential(_: Stage) -> tuple[str, Any]:
    return CREDENTIALS, {"kind": "hmac"}


async def _rotation(stage: Stage) -> tuple[str, Any]:
    return f"{CREDENTIALS}/{await stage.credential()}/rotate", None


async def _revocation(stage: Stage) -> tuple[str, Any]:
    return f"{CREDENTIALS}/{await stage.credential()}", None


async def _erasure(_: Stage) -> tuple[str, Any]:
    return ERASURES, {"merchant_id": MERCHANT, "customer_id": uuid4().hex}


REASON = {"reason_code": "customer_return"}
ADJUSTMENT = {"adjustment_id": "A1", **REASON, "refund_amount": {"amount": "1.00", "currency": "EUR"}}
CREDENTIAL_ROUTES = "/v1/merchants/{merchant_id}/postback-credentials"
RECIPES: dict[str, Recipe] = {
    "POST /v1/conversions/{ref}/approve": _act("approve"),
    "POST /v1/conversions/{ref}/reject": _act("reject", REASON),
    "POST /v1/conversions/{ref}/reverse": _act("reverse", REASON),
    "POST /v1/conversions/{ref}/adjust": _act("adjust", ADJUSTMENT),
    "POST /v1/conversions/{ref}/release": _act("release", held=True),
    f"POST {BULK}": _bulk,
    f"POST {CREDENTIAL_ROUTES}": _new_credential,
    f"POST {CREDENTIAL_ROUTES}/{{credential_id}}/rotate": _rotation,
    f"POST {ERASURES}": _erasure,
    f"DELETE {CREDENTIAL_ROUTES}/{{credential_id}}": _revocation,
}


@pytest.fixture(scope="module")
async def stage(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    url = postgres.migrate("conversions")
    async with running_conversions(url, tmp_path_factory.mktemp("audit-conversions")) as service:
        yield Stage(service, Chain(postgres, "conversions"))


def _request_id(answer: httpx.Response) -> str:
    return answer.headers["X-Request-Id"]


def test_every_write_of_the_table_has_a_recipe() -> None:
    assert set(RECIPES) == {_name(route) for route in WRITES}


@pytest.mark.parametrize("route", WRITES, ids=_name)
async def test_a_write_has_exactly_one_entry_and_its_repetition_none(stage: Stage, route: Route) -> None:
    path, body = await RECIPES[_name(route)](stage)
    role, key = "merchant" if "merchant" in route.roles else "admin", uuid4().hex

    answer = await stage.call(role, route.method, path, body, key=key)
    again = await stage.call(role, route.method, path, body, key=key)

    assert answer.status_code in (200, 201, 202, 204), answer.text
    (entry,) = await stage.chain.entries_of(_request_id(answer))
    assert (entry["action"], entry["outcome"], entry["role"]) == (_name(route), "done", role)
    assert entry["merchant_id"] == (MERCHANT if role == "merchant" else None)
    assert entry["after_hash"] not in (None, entry["before_hash"])
    assert (entry["before_hash"] is None) == (path in (CREDENTIALS, ERASURES, BULK))
    assert again.headers.get("Idempotent-Replayed") == "true" or again.status_code == 409
    assert await stage.chain.entries_of(_request_id(again)) == []


async def test_a_denial_has_exactly_one_entry(stage: Stage) -> None:
    conversion_id = await stage.conversion()
    act = f"/v1/conversions/{conversion_id}"
    await stage.call("merchant", "POST", f"{act}/reject", REASON)
    held_id = await stage.conversion(held=True)
    foreign_id = await stage.conversion()

    def stranger() -> dict[str, str]:
        return stage.service.as_role("merchant", OTHER_MERCHANT)

    send = stage.service.client.request

    denied = {
        "transition_refused": await stage.call("merchant", "POST", f"{act}/approve"),
        "role_not_allowed": await stage.call("merchant", "POST", f"/v1/conversions/{held_id}/approve"),
        "conversion_not_found": await send("POST", f"/v1/conversions/{foreign_id}/approve", headers=stranger()),
        "merchant_not_found": await send("POST", CREDENTIALS, json={"kind": "token"}, headers=stranger()),
        "party_not_found": await send("GET", f"/v1/receipts?merchant_id={MERCHANT}", headers=stranger()),
        "unauthenticated": await send("GET", "/v1/receipts", headers={"Tributary-Principal": "forged"}),
    }
    mistakes = [
        await send("POST", f"/v1/conversions/{uuid4()}/approve", headers=stranger()),
        await send("POST", "/v1/conversions/order:anna@shop.example/approve", headers=stranger()),
        await stage.call("merchant", "POST", f"{act}/reject", {"reason_code": 7}),
        await send("GET", "/v1/receipts"),
    ]

    found = await stage.chain.entries_of_all([_request_id(answer) for answer in denied.values()])
    for code, answer in denied.items():
        (entry,) = found[_request_id(answer)]
        assert (entry["outcome"], entry["code"]) == ("denied", code) == ("denied", answer.json()["code"])
    objects = {code: found[_request_id(answer)][0]["object_id"] for code, answer in denied.items()}
    assert objects == {
        "transition_refused": conversion_id,
        "role_not_allowed": held_id,
        "conversion_not_found": foreign_id,
        "merchant_not_found": str(MERCHANT),
        "party_not_found": str(MERCHANT),
        "unauthenticated": None,
    }
    for answer in mistakes:
        assert 400 <= answer.status_code < 500
        assert await stage.chain.entries_of(_request_id(answer)) == []


async def test_postbacks_that_do_not_authenticate_stay_out_of_the_chain(stage: Stage) -> None:
    """They have a place of their own, which their merchant reads (I7)."""
    refused = await stage.service.client.get(f"/postback?merchant_id={MERCHANT}&order_id=1&token=wrong")

    assert refused.status_code == 401
    assert await stage.chain.entries_of(_request_id(refused)) == []


async def test_the_chain_holds(stage: Stage) -> None:
    assert await stage.chain.verify() > 0
