"""`POST /v1/affiliates/{id}/exchanges` and `POST /v1/fx-revaluations`: finance only, once per key."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.usecases.post_acts import post_acts
from shared.runtime.database import Database
from shared.runtime.principal import Role
from tests.conftest import TestPostgres
from tests.factories.commissions import fresh_id
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.exchange_rates import fresh_month
from tests.factories.payouts import tell_of_affiliate


@pytest.fixture(scope="module")
async def api(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Reader]:
    async with commissions_api(postgres.migrate("commissions"), tmp_path_factory.mktemp("currency")) as reader:
        yield reader


async def owed(worker_database: Database, api: Reader) -> int:
    """An affiliate to whom 10.00 CHF are payable, with a rate of today."""
    affiliate_id, now = fresh_id(), datetime.now(UTC)
    await tell_of_affiliate(worker_database, affiliate_id)
    today = {"base": "EUR", "quote": "CHF", "rate": "0.8", "source": "house_bank", "as_of": now.date().isoformat()}
    assert (await api.send("POST", "/v1/exchange-rates", body={"rates": [today]})).status_code == 201
    inputs = {
        "affiliate_id": affiliate_id,
        "merchant_id": None,
        "amount_minor": 1_000,
        "currency": "CHF",
        "payable_at": now.isoformat(),
    }
    async with worker_database.transaction() as session:
        await post_acts(session, [FinanceAct(uuid4(), "bonus", inputs, "key:test", now)], now=now)
    return affiliate_id


def body(**changes: Any) -> dict[str, Any]:
    return {"from_currency": "CHF", "to_currency": "EUR", **changes}


async def test_an_exchange_is_posted_once_per_key(worker_database: Database, api: Reader) -> None:
    affiliate_id, key = await owed(worker_database, api), uuid4().hex
    path = f"/v1/affiliates/{affiliate_id}/exchanges"

    first = await api.send("POST", path, body=body(amount="4.00"), idempotency_key=key)
    again = await api.send("POST", path, body=body(amount="4.00"), idempotency_key=key)
    rest = await api.send("POST", path, body=body())
    nothing = await api.send("POST", path, body=body())

    assert (first.status_code, rest.status_code) == (201, 201), first.text
    assert first.json()["given"] == {"amount": "4.00", "currency": "CHF"}
    assert first.json()["received"] == {"amount": "5.00", "currency": "EUR"}
    assert first.json()["rate"]["source"] == "house_bank"
    assert again.json() == first.json()
    assert rest.json()["received"] == {"amount": "7.50", "currency": "EUR"}
    assert (nothing.status_code, nothing.json()["code"]) == (409, "exchange_exceeds_payable")
    ledger = await api.get("/v1/ledger", account=f"affiliate_payable:{affiliate_id}")
    entries = [entry for item in ledger.json()["items"] for entry in item["entries"]]
    assert {entry["amount"]["currency"] for entry in entries if entry["account"] == "fx_exchange"} == {"CHF", "EUR"}
    statement = await api.get(
        "/v1/statements", affiliate_id_=affiliate_id, period=f"{datetime.now(UTC):%Y-%m}", currency="EUR"
    )
    assert {line["kind"] for line in statement.json()["lines"]} <= {"currency_exchange"}


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        (body(to_currency="CHF"), "to_currency"),
        (body(from_currency="XXX"), "from_currency"),
        (body(amount="1.001"), "amount"),
        (body(amount="-1"), "amount"),
        (body(rate="1"), "rate"),
    ],
)
async def test_a_bad_exchange_is_refused_with_its_field(api: Reader, wrong: dict[str, Any], field: str) -> None:
    answer = await api.send("POST", "/v1/affiliates/3/exchanges", body=wrong)

    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_without_a_rate_or_an_affiliate_nothing_is_exchanged(worker_database: Database, api: Reader) -> None:
    affiliate_id = await owed(worker_database, api)

    answer = await api.send("POST", f"/v1/affiliates/{affiliate_id}/exchanges", body=body(to_currency="NOK"))
    unknown = await api.send("POST", f"/v1/affiliates/{fresh_id()}/exchanges", body=body())

    assert (answer.status_code, answer.json()["code"]) == (409, "exchange_rate_needed")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "affiliate_not_found")


async def test_a_month_is_revalued_once(api: Reader) -> None:
    asked = {"period": fresh_month(), "base_currency": "EUR"}

    first = await api.send("POST", "/v1/fx-revaluations", body=asked)
    again = await api.send("POST", "/v1/fx-revaluations", body=asked)
    open_still = await api.send("POST", "/v1/fx-revaluations", body={**asked, "period": f"{datetime.now(UTC):%Y-%m}"})

    assert first.status_code == 201, first.text
    assert first.json()["gain"]["currency"] == "EUR"
    assert (again.status_code, again.json()["code"]) == (409, "revaluation_done")
    assert (open_still.status_code, open_still.json()["code"]) == (409, "period_open")


@pytest.mark.parametrize("role", ["admin", "merchant", "affiliate"])
@pytest.mark.parametrize("path", ["/v1/affiliates/3/exchanges", "/v1/fx-revaluations"])
async def test_only_finance_may(api: Reader, role: Role, path: str) -> None:
    merchant_id, affiliate_id = (7 if role == "merchant" else None), (3 if role == "affiliate" else None)

    answer = await api.send("POST", path, role, body(), merchant_id=merchant_id, affiliate_id=affiliate_id)

    assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")
