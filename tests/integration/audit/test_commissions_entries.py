"""Each privileged write at commissions leaves exactly one entry (T55), for its routes of the table."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.statement import Party
from services.commissions.usecases.post_acts import post_acts
from services.gateway.domain.routes import ROUTES, Route
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.caps import over_cap
from tests.factories.commissions import fresh_id, tell_of_merchant, tell_of_offer
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.exchange_rates import fresh_month
from tests.factories.payout_stage import RUNS, PayoutStage, settlement_body
from tests.factories.payouts import settings_body, tell_of_affiliate
from tests.factories.statements import issue_empty_statement, tax_settings_body
from tests.integration.audit.chain import Chain

DRY_RUNS = {"POST /v1/pricing/dry-run"}  # it changes nothing, so there is nothing to enter
WRITES = [
    route
    for route in ROUTES
    if route.owner == "commissions" and route.method != "GET" and f"{route.method} {route.template}" not in DRY_RUNS
]


def _name(route: Route) -> str:
    return f"{route.method} {route.template}"


@dataclass(frozen=True, slots=True)
class Stage:
    reader: Reader
    worker: Database
    chain: Chain
    payouts: PayoutStage

    async def affiliate(self) -> int:
        affiliate_id = fresh_id()
        await tell_of_affiliate(self.worker, affiliate_id)
        return affiliate_id

    async def payee(self) -> int:
        """An affiliate with payout settings."""
        affiliate_id = await self.affiliate()
        answer = await self.reader.send(
            "PUT", "/v1/payout-settings", "finance", settings_body(), affiliate_id_=affiliate_id
        )
        assert answer.status_code == 200, answer.text
        return affiliate_id


@dataclass(frozen=True, slots=True)
class Asked:
    path: str
    body: Any = None
    query: dict[str, Any] | None = None
    key_id: str = "k"


Recipe = Callable[[Stage], Awaitable[Asked]]


async def _settings(stage: Stage) -> Asked:
    return Asked("/v1/payout-settings", settings_body(), {"affiliate_id_": await stage.affiliate()})


async def _confirmation(stage: Stage) -> Asked:
    return Asked(f"/v1/payout-settings/{await stage.payee()}/confirm")


async def _stop(stage: Stage) -> Asked:
    return Asked("/v1/payout-stops", {"affiliate_id": await stage.affiliate(), "reason_code": "legal_order"})


async def _lift(stage: Stage) -> Asked:
    stop = await _stop(stage)
    assert (await stage.reader.send("POST", stop.path, "finance", stop.body)).status_code == 200
    return Asked(f"{stop.path}/{stop.body['affiliate_id']}/lift")


async def _rates(_: Stage) -> Asked:
    rate = {"base": "EUR", "quote": "USD", "rate": "1.25", "source": f"bank_{uuid4().hex[:8]}", "as_of": "2024-02-29"}
    return Asked("/v1/exchange-rates", {"rates": [rate]})


async def _exchange(stage: Stage) -> Asked:
    affiliate_id, now = await stage.affiliate(), datetime.now(UTC)
    rate = {"base": "EUR", "quote": "SEK", "rate": "11", "source": "house_bank", "as_of": now.date().isoformat()}
    assert (await stage.reader.send("POST", "/v1/exchange-rates", "finance", {"rates": [rate]})).status_code == 201
    inputs = {
        "affiliate_id": affiliate_id,
        "merchant_id": None,
        "amount_minor": 1_000,
        "currency": "SEK",
        "payable_at": now.isoformat(),
    }
    async with stage.worker.transaction() as session:
        await post_acts(session, [FinanceAct(uuid4(), "bonus", inputs, "key:test", now)], now=now)
    return Asked(f"/v1/affiliates/{affiliate_id}/exchanges", {"from_currency": "SEK", "to_currency": "EUR"})


async def _revaluation(_: Stage) -> Asked:
    return Asked("/v1/fx-revaluations", {"period": fresh_month(), "base_currency": "EUR"})


async def _payment(stage: Stage) -> Asked:
    merchant_id = fresh_id()
    await tell_of_merchant(stage.worker, merchant_id)
    amount = {"amount": "50.00", "currency": "EUR"}
    payment = {"merchant_id": merchant_id, "amount": amount, "received_on": "2026-11-23", "reference": "bank-1"}
    return Asked("/v1/merchant-payments", payment)


async def _payment_back(stage: Stage) -> Asked:
    payment = await _payment(stage)
    made = await stage.reader.send("POST", payment.path, "finance", payment.body)
    assert made.status_code == 201, made.text
    return Asked(f"{payment.path}/{made.json()['payment_id']}/take-back", {"reason_code": "returned_by_bank"})


async def _bonus(stage: Stage) -> Asked:
    amount = {"amount": "50.00", "currency": "EUR"}
    bonus = {"affiliate_id": await stage.affiliate(), "amount": amount, "reason_code": "goal_reached"}
    return Asked("/v1/bonuses", bonus)


async def _goal(stage: Stage) -> Asked:
    offer_id = fresh_id()
    await tell_of_offer(stage.worker, offer_id)
    amount = {"amount": "100.00", "currency": "EUR"}
    goal = {"offer_id": offer_id, "conversions": 50, "amount": amount, "paid_by": "network"}
    return Asked("/v1/bonus-goals", {**goal, "reason_code": "fifty_sales", "first_period": "2099-01"})


async def _goal_end(stage: Stage) -> Asked:
    goal = await _goal(stage)
    made = await stage.reader.send("POST", goal.path, "finance", goal.body)
    assert made.status_code == 201, made.text
    return Asked(f"{goal.path}/{made.json()['id']}/end")


async def _prefunding(stage: Stage) -> Asked:
    merchant_id = fresh_id()
    await tell_of_merchant(stage.worker, merchant_id)
    body = {"low_balance": {"amount": "10.00", "currency": "EUR"}, "pause_at_zero": True}
    return Asked("/v1/prefunding", body, {"merchant_id_": merchant_id})


async def _draft(stage: Stage) -> Asked:
    await stage.payouts.payee(10_000)
    return Asked(RUNS, {"currency": "EUR", "method": "bank", "up_to": "2026-11-24"})


def _step(verb: str, *before: str) -> Recipe:
    async def recipe(stage: Stage) -> Asked:
        await stage.payouts.payee(10_000)
        run = await stage.payouts.drafted()
        for step in before:
            assert (await stage.payouts.act(run["id"], step)).status_code == 200
        return Asked(f"{RUNS}/{run['id']}/{verb}", key_id="second")

    return recipe


async def _void(stage: Stage) -> Asked:
    number = await issue_empty_statement(stage.worker, Party(merchant_id=fresh_id()))
    return Asked(f"/v1/statements/{number}/void", {"reason_code": "wrong_address"})


def _tax_settings(party: str) -> Recipe:
    async def recipe(stage: Stage) -> Asked:
        party_id = await stage.affiliate()
        await tell_of_merchant(stage.worker, party_id)
        return Asked(f"/v1/{party}/{party_id}/tax-settings", tax_settings_body())

    return recipe


async def _settlement(stage: Stage) -> Asked:
    exported = await _step("file", "approve", "export")(stage)
    run_id = exported.path.split("/")[-2]
    paid = stage.payouts.lines_of(await stage.payouts.file(run_id))
    return Asked(f"{RUNS}/{run_id}/settlements", settlement_body([(*line, "settled") for line in paid]))


async def _release(stage: Stage) -> Asked:
    _, commission_id = await over_cap(stage.worker)
    return Asked(f"/v1/commissions/{commission_id}/release", {"reason_code": "goodwill"})


async def _releases(stage: Stage) -> Asked:
    offer_id, _ = await over_cap(stage.worker)
    body = {"status": "over_cap", "offer_id": offer_id, "reason_code": "goodwill"}
    return Asked("/v1/commissions/release", body)


RECIPES: dict[str, Recipe] = {
    "POST /v1/affiliates/{affiliate_id}/exchanges": _exchange,
    "POST /v1/fx-revaluations": _revaluation,
    "POST /v1/payout-runs": _draft,
    "POST /v1/payout-runs/{payout_run_id}/approve": _step("approve"),
    "POST /v1/payout-runs/{payout_run_id}/export": _step("export", "approve"),
    "POST /v1/payout-runs/{payout_run_id}/cancel": _step("cancel"),
    "POST /v1/payout-runs/{payout_run_id}/settlements": _settlement,
    "POST /v1/commissions/release": _releases,
    "POST /v1/commissions/{commission_id}/release": _release,
    "POST /v1/statements/{statement_id}/void": _void,
    "PUT /v1/affiliates/{affiliate_id}/tax-settings": _tax_settings("affiliates"),
    "PUT /v1/merchants/{merchant_id}/tax-settings": _tax_settings("merchants"),
    "POST /v1/exchange-rates": _rates,
    "POST /v1/merchant-payments": _payment,
    "POST /v1/merchant-payments/{payment_id}/take-back": _payment_back,
    "PUT /v1/prefunding": _prefunding,
    "POST /v1/bonuses": _bonus,
    "POST /v1/bonus-goals": _goal,
    "POST /v1/bonus-goals/{goal_id}/end": _goal_end,
    "PUT /v1/payout-settings": _settings,
    "POST /v1/payout-settings/{affiliate_id}/confirm": _confirmation,
    "POST /v1/payout-stops": _stop,
    "POST /v1/payout-stops/{affiliate_id}/lift": _lift,
}


@pytest.fixture(scope="module")
async def stage(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    url = postgres.migrate("commissions")
    worker = Database(url, role="commissions_worker", pool_size=2)
    async with commissions_api(url, tmp_path_factory.mktemp("audit-commissions")) as reader:
        payouts = PayoutStage(reader, worker, tmp_path_factory.getbasetemp())
        await payouts.publish()
        yield Stage(reader, worker, Chain(postgres, "commissions"), payouts)
        await payouts.clear()
    await worker.close()


def test_every_write_of_the_table_has_a_recipe() -> None:
    assert set(RECIPES) == {_name(route) for route in WRITES}


@pytest.mark.parametrize("route", WRITES, ids=_name)
async def test_a_write_has_exactly_one_entry_and_its_repetition_none(stage: Stage, route: Route) -> None:
    asked = await RECIPES[_name(route)](stage)

    async def send() -> Any:
        return await stage.reader.send(
            route.method,
            asked.path,
            "finance",
            asked.body,
            key_id=asked.key_id,
            idempotency_key=key,
            **(asked.query or {}),
        )

    key = uuid4().hex
    answer, again = await send(), await send()

    assert answer.status_code in (200, 201, 202), answer.text
    (entry,) = await stage.chain.entries_of(answer.headers["X-Request-Id"])
    assert (entry["action"], entry["outcome"], entry["role"]) == (_name(route), "done", "finance")
    assert again.headers.get("Idempotent-Replayed") == "true"
    assert again.content == answer.content
    assert await stage.chain.entries_of(again.headers["X-Request-Id"]) == []
    if "state" in answer.json() and answer.json().get("state") in ("draft", "approved"):
        await stage.payouts.act(answer.json()["id"], "cancel")


async def test_the_chain_holds(stage: Stage) -> None:
    assert await stage.chain.verify() > 0
