"""`/v1/exchange-rates`: who may record, what is refused, and that asking twice is recording once."""

import base64
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest

from services.gateway.domain.routes import ROUTES
from shared.runtime.principal import Role
from tests.conftest import TestPostgres
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.exchange_rates import fresh_day
from tests.integration.audit.chain import Chain

PATH = "/v1/exchange-rates"


@pytest.fixture(scope="module")
async def api(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    async with commissions_api(postgres.migrate("commissions"), tmp_path_factory.mktemp("rates")) as reader:
        yield reader


def body(day: str, rate: str = "1.25", **changes: Any) -> dict[str, Any]:
    one = {"base": "EUR", "quote": "USD", "rate": rate, "source": "house_bank", "as_of": day}
    return {"rates": [{**one, **changes}]}


async def test_a_rate_is_recorded_once_and_read_with_where_it_comes_from(api: Reader, postgres: TestPostgres) -> None:
    day, key = fresh_day().isoformat(), uuid4().hex

    answer = await api.send("POST", PATH, body=body(day), idempotency_key=key)
    again = await api.send("POST", PATH, body=body(day), idempotency_key=key)
    found = await api.get(PATH, base="USD", quote="EUR", as_of=day)

    assert (answer.status_code, again.status_code, found.status_code) == (201, 201, 200), answer.text
    assert answer.json()["recorded"] == 1
    assert again.json() == answer.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert found.json()["rate"] == {
        "base": "USD", "quote": "EUR", "rate": "0.8", "source": "house_bank", "as_of": day
    }  # fmt: skip
    (record,) = found.json()["records"]
    assert (record["rate"], record["actor"], record["reason_code"]) == ("1.25", "key:k", None)
    entries = await Chain(postgres, "commissions").query(
        "SELECT action, outcome FROM audit_entry WHERE object_id = $1", answer.json()["import_id"]
    )
    assert [tuple(entry) for entry in entries] == [(f"POST {PATH}", "done")]


async def test_the_banks_file_comes_as_it_is(api: Reader) -> None:
    day = fresh_day()
    file = f"Date,USD,JPY,\n{day},1.25,N/A,\n".encode()

    answer = await api.send("POST", PATH, body={"file_base64": base64.b64encode(file).decode()})

    assert answer.status_code == 201, answer.text
    assert (answer.json()["recorded"], answer.json()["from_day"]) == (1, day.isoformat())
    assert (await api.get(PATH, base="EUR", quote="USD", as_of=day)).json()["rate"]["source"] == "ecb"


async def test_a_correction_needs_a_reason(api: Reader) -> None:
    day = fresh_day().isoformat()
    await api.send("POST", PATH, body=body(day))

    refused = await api.send("POST", PATH, body=body(day, "1.26"))
    tried = await api.send("POST", PATH, body={**body(day, "1.26"), "reason_code": "mistyped", "dry_run": True})
    before = (await api.get(PATH, base="EUR", quote="USD", as_of=day)).json()
    taken = await api.send("POST", PATH, body={**body(day, "1.26"), "reason_code": "mistyped"})
    after = (await api.get(PATH, base="EUR", quote="USD", as_of=day)).json()

    assert (refused.status_code, refused.json()["code"]) == (409, "exchange_rate_differs")
    assert (tried.json()["is_dry_run"], tried.json()["corrected"]) == (True, 1)
    assert (before["rate"]["rate"], after["rate"]["rate"]) == ("1.25", "1.26")
    assert taken.json()["corrected"] == 1
    assert [record["reason_code"] for record in after["records"]] == ["mistyped", None]


async def test_no_rate_is_404_and_never_one(api: Reader) -> None:
    answer = await api.get(PATH, base="EUR", quote="USD", as_of=fresh_day())

    assert (answer.status_code, answer.json()["code"]) == (404, "exchange_rate_missing")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"rate": "0"}, "rates.0.rate"),
        ({"rate": "1e3"}, "rates.0.rate"),
        ({"rate": 1.25}, "rates.0.rate"),
        ({"rate": "1.2500000000001"}, "rates.0.rate"),
        ({"base": "USD"}, "rates.0.quote"),
        ({"quote": "XXX"}, "rates.0.quote"),
        ({"quote": "usd"}, "rates.0.quote"),
        ({"source": "ecb"}, "rates.0.source"),
        ({"source": "The Bank"}, "rates.0.source"),
        ({"as_of": "2999-01-01"}, "rates.0.as_of"),
        ({"as_of": "1998-12-31"}, "rates.0.as_of"),
        ({"as_of": 946684800}, "rates.0.as_of"),
        ({"bid": "1"}, "rates.0.bid"),
    ],
)
async def test_a_bad_rate_is_refused_with_its_field(api: Reader, change: dict[str, Any], field: str) -> None:
    answer = await api.send("POST", PATH, body=body("2000-01-03", **change))

    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"rates": []},
        {"rates": body("2000-01-03")["rates"] * 2},
        {"rates": body("2000-01-03")["rates"], "file_base64": "AAAA"},
        {"file_base64": "not base64"},
        {"file_base64": base64.b64encode(b"<!DOCTYPE x>").decode()},
        {**body("2000-01-03"), "reason_code": "Because!"},
    ],
)
async def test_a_bad_body_is_refused(api: Reader, wrong: dict[str, Any]) -> None:
    answer = await api.send("POST", PATH, body=wrong)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")


@pytest.mark.parametrize(("as_of", "status"), [("2000-1-3", 422), ("946684800", 422), ("2000-01-03T00:00:00Z", 422)])
async def test_a_day_is_spelt_in_one_way(api: Reader, as_of: str, status: int) -> None:
    assert (await api.get(PATH, base="EUR", quote="USD", as_of=as_of)).status_code == status


@pytest.mark.parametrize("role", ["admin", "merchant", "affiliate"])
async def test_only_finance_records(api: Reader, role: Role) -> None:
    merchant_id, affiliate_id = (7 if role == "merchant" else None), (3 if role == "affiliate" else None)

    answer = await api.send(
        "POST", PATH, role, body(fresh_day().isoformat()), merchant_id=merchant_id, affiliate_id=affiliate_id
    )

    assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_the_gateway_knows_who_may(method: str) -> None:
    (route,) = [each for each in ROUTES if each.template == PATH and each.method == method]

    assert route.roles == ({"finance"} if method == "POST" else {"admin", "finance"})
