"""A payout run from its draft to the bank's answer, on a real PostgreSQL, through the API."""

import base64
import csv
import io
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio
from lxml import etree

from services.commissions.verify import verify
from shared.runtime.database import Database
from shared.runtime.keyring import add_key, promote_key
from tests.conftest import TestPostgres
from tests.factories.commissions_api import commissions_api
from tests.factories.payout_files import camt, camt_detail, camt_entry
from tests.factories.payout_stage import RUNS, PayoutStage
from tests.factories.payouts import OTHER_IBAN, settings_body

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(loop_scope="session")
async def stage(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[PayoutStage]:
    clock_file = tmp_path / "clock"
    clock_file.write_text("2026-11-24T09:00:00+00:00")
    async with commissions_api(postgres.migrate("commissions"), tmp_path, clock_file=clock_file) as reader:
        stage = PayoutStage(reader, worker_database, tmp_path)
        await stage.publish()
        yield stage
        await stage.clear()


async def test_a_run_pays_each_payee_once_and_the_ledger_says_so(stage: PayoutStage) -> None:
    one, other = await stage.payee(10_000), await stage.payee(5_000, iban=OTHER_IBAN, country="FR")

    run = await stage.exported([one, other])
    file = await stage.file(run["id"])
    balances = [await stage.balance(each) for each in (one, other)]

    paid = stage.lines_of(file)
    assert sorted(amount for _, amount in paid) == ["100.00", "50.00"]
    assert balances == [{"payable": "0.00", "paid": "100.00"}, {"payable": "0.00", "paid": "50.00"}]
    assert await stage.clearing(run["id"]) == -15_000
    settled = await stage.settle(run["id"], [(name, amount, "settled") for name, amount in paid])
    assert settled.json()["run"]["state"] == "settled"
    assert (settled.json()["settled"], settled.json()["returned"]) == (2, 0)
    assert await stage.clearing(run["id"]) == 0
    await verify(stage.staff, recompute=True)


async def test_who_is_left_out_is_listed_with_the_reason(stage: PayoutStage) -> None:
    paid, small = await stage.payee(10_000), await stage.payee(2_499)
    bare = await stage.affiliate(10_000)
    stopped, suspended = await stage.payee(10_000), await stage.payee(10_000)
    dollars = await stage.payee(
        10_000,
        body=settings_body(
            threshold={"amount": "1.00", "currency": "USD"},
            details={"account_holder": "R", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"},
        ),
    )
    weekly = await stage.payee(10_000, body=settings_body(net_days=120))
    held = await stage.payee(10_000)
    await stage.put(held, settings_body(country="FR", details={"account_holder": "R", "iban": OTHER_IBAN}))
    await stage.stop(stopped)
    await stage.suspend(suspended)

    run = await stage.drafted()
    reasons = {line["affiliate_id"]: (line["state"], line["reason_code"]) for line in await stage.lines(run["id"])}

    assert reasons[paid] == ("draft", None)
    assert {each: reasons[each][1] for each in (small, bare, stopped, suspended, dollars, weekly, held)} == {
        small: "below_threshold",
        bare: "settings_missing",
        stopped: "payouts_stopped",
        suspended: "affiliate_not_active",
        dollars: "other_currency",
        weekly: "nothing_due",
        held: "changed_details_wait",
    }
    assert all(
        state == "left_out"
        for each, (state, _) in reasons.items()
        if each not in (paid,) and each in reasons and reasons[each][1] is not None
    )


async def test_nobody_approves_a_run_of_their_own(stage: PayoutStage) -> None:
    await stage.payee(10_000)
    run = await stage.drafted()

    refused = await stage.act(run["id"], "approve", key_id="drafter")
    unchanged = await stage.run(run["id"])
    exported = await stage.act(run["id"], "export", key_id="second")

    assert (refused.status_code, refused.json()["code"]) == (403, "self_approval")
    assert unchanged == run
    assert (exported.status_code, exported.json()["code"]) == (409, "payout_transition_refused")


async def test_a_payable_stands_in_one_open_run_only(stage: PayoutStage) -> None:
    one = await stage.payee(10_000)
    first = await stage.drafted()
    second = await stage.drafted()
    blocked = {line["affiliate_id"]: line["reason_code"] for line in await stage.lines(second["id"])}
    await stage.act(first["id"], "cancel")
    third = await stage.drafted()
    free = {line["affiliate_id"]: line["reason_code"] for line in await stage.lines(third["id"])}

    assert (blocked[one], free[one]) == ("in_another_run", None)


@pytest.mark.parametrize("when", ["before_approval", "before_export"])
async def test_a_reversal_shrinks_or_drops_a_line_and_never_pays_what_is_not_there(
    stage: PayoutStage, when: str
) -> None:
    shrunk, gone, whole = await stage.payee(10_000), await stage.payee(10_000), await stage.payee(10_000)
    second_sale = await stage.sale(shrunk, 4_000)
    run = await stage.drafted()
    if when == "before_export":
        await stage.act(run["id"], "approve", key_id="second")
    await stage.reverse(second_sale)
    await stage.reverse(stage.sales[gone])

    if when == "before_approval":
        await stage.act(run["id"], "approve", key_id="second")
    exported = await stage.act(run["id"], "export", key_id="second")
    lines = {line["affiliate_id"]: line for line in await stage.lines(run["id"])}
    paid = stage.lines_of(await stage.file(run["id"]))

    assert exported.status_code == 200, exported.text
    assert (lines[shrunk]["amount"]["amount"], lines[shrunk]["reason_code"]) == ("100.00", "balance_shrank")
    assert (lines[shrunk]["drafted"]["amount"], lines[whole]["reason_code"]) == ("140.00", None)
    assert (lines[gone]["state"], lines[gone]["reason_code"]) == ("dropped", "nothing_due")
    assert {lines[each]["end_to_end_id"]: lines[each]["amount"]["amount"] for each in (shrunk, whole)} == dict(paid)
    assert await stage.clearing(run["id"]) == -20_000


async def test_the_file_is_the_same_bytes_after_new_keys_and_new_settings(
    stage: PayoutStage, postgres: TestPostgres
) -> None:
    one = await stage.payee(10_000)
    run = await stage.exported([one])
    first = await stage.get_file(run["id"])
    await stage.put(one, settings_body(country="FR", details={"account_holder": "New", "iban": OTHER_IBAN}))
    ring = stage.folder / "sealing.json"
    promote_key(ring, add_key(ring))

    async with commissions_api(postgres.migrate("commissions"), stage.folder, clock_file=stage.folder / "clock") as api:
        again = await api.get(f"{RUNS}/{run['id']}/file", format="pain.001")
    other = await stage.get_file(run["id"], format="csv")

    assert again.content == first.content
    assert first.headers["tributary-file-sha256"] == again.headers["tributary-file-sha256"]
    assert b"DE89370400440532013000" in first.content
    assert (other.status_code, other.json()["code"]) == (409, "payout_format_of_another_method")


async def test_a_settlement_for_another_sum_is_refused_whole_and_the_same_file_is_taken_once(
    stage: PayoutStage,
) -> None:
    one, other = await stage.payee(10_000), await stage.payee(5_000)
    run = await stage.exported([one, other])
    paid = stage.lines_of(await stage.file(run["id"]))
    (first, amount), (second, _) = paid

    wrong = await stage.settle(run["id"], [(first, amount, "settled"), (second, "0.01", "settled")])
    states = [line["state"] for line in await stage.lines(run["id"], state="exported")]
    good = [(name, sum_, "settled") for name, sum_ in paid]
    taken, again = await stage.settle(run["id"], good), await stage.settle(run["id"], good)
    twice = await stage.settle(run["id"], [*good, ("RF-OTHER", "1.00", "settled")])

    assert (wrong.status_code, wrong.json()["code"]) == (422, "settlement_refused")
    assert wrong.json()["errors"] == [
        {"field": f"file.{second}", "code": "amount_differs", "message": "is not what was paid out"}
    ]
    assert states == ["exported"] * 2
    assert (taken.json()["is_repeated"], again.json()["is_repeated"]) == (False, True)
    assert again.json()["run"] == taken.json()["run"]
    assert (twice.json()["settled"], twice.json()["unchanged"], twice.json()["foreign"]) == (0, 2, 1)
    assert await stage.clearing(run["id"]) == 0


async def test_what_comes_back_is_owed_again_and_paid_by_the_next_run(stage: PayoutStage) -> None:
    failed, returned = await stage.payee(10_000), await stage.payee(5_000)
    run = await stage.exported([failed, returned])
    names = {line["affiliate_id"]: line["end_to_end_id"] for line in await stage.lines(run["id"], state="exported")}

    await stage.settle(run["id"], [(names[returned], "50.00", "settled")])
    back = await stage.settle(
        run["id"], [(names[failed], "100.00", "returned"), (names[returned], "50.00", "returned")]
    )
    states = {line["affiliate_id"]: line["state"] for line in await stage.lines(run["id"])}
    next_run = await stage.exported([failed, returned])
    payouts = (await stage.reader.get("/v1/payouts", "affiliate", affiliate_id=returned)).json()["items"]

    assert back.json()["returned"] == 2
    assert (states[failed], states[returned]) == ("failed", "returned")
    assert (await stage.run(run["id"]))["state"] == "failed"
    assert await stage.clearing(run["id"]) == 0
    paid_again = stage.lines_of(await stage.file(next_run["id"]))
    assert sorted(amount for _, amount in paid_again) == ["100.00", "50.00"]
    assert {name for name, _ in paid_again}.isdisjoint(names.values())
    assert sorted(payout["state"] for payout in payouts) == ["exported", "returned"]
    assert await stage.balance(returned) == {"payable": "0.00", "paid": "50.00"}
    await verify(stage.staff, recompute=True)


async def test_a_block_booked_as_one_sum_settles_what_did_not_come_back(stage: PayoutStage) -> None:
    arrives, comes_back = await stage.payee(5_000), await stage.payee(10_000)
    run = await stage.exported([arrives, comes_back])
    names = {line["affiliate_id"]: line["end_to_end_id"] for line in await stage.lines(run["id"], state="exported")}
    block = etree.fromstring(await stage.file(run["id"])).findtext(".//{*}PmtInfId") or ""
    reason = "<CdtDbtInd>CRDT</CdtDbtInd><RtrInf><Rsn><Cd>AC04</Cd></Rsn></RtrInf>"
    returned = camt_detail(names[comes_back], "100.00").replace("<CdtDbtInd>DBIT</CdtDbtInd>", reason)
    entries = [
        camt_entry("150.00", f"<Btch><PmtInfId>{block}</PmtInfId><NbOfTxs>2</NbOfTxs></Btch>"),
        camt_entry("100.00", returned, direction="CRDT"),
    ]
    body = {"format": "camt", "file_base64": base64.b64encode(camt(entries)).decode()}

    answer = await stage.reader.send("POST", f"{RUNS}/{run['id']}/settlements", "finance", body)

    assert answer.status_code == 200, answer.text
    states = {line["affiliate_id"]: line["state"] for line in await stage.lines(run["id"])}
    assert (states[arrives], states[comes_back]) == ("settled", "failed")
    assert await stage.clearing(run["id"]) == 0
    assert await stage.balance(comes_back) == {"payable": "100.00", "paid": "0.00"}
    assert await stage.balance(arrives) == {"payable": "0.00", "paid": "50.00"}


async def test_a_debt_is_carried_forward_and_past_its_cure_stops_every_currency(stage: PayoutStage) -> None:
    debtor = await stage.payee(10_000)
    await stage.exported([debtor])
    await stage.reverse(stage.sales[debtor])
    await stage.sale(debtor, 7_000, currency="USD")
    dollars = settings_body(
        threshold={"amount": "1.00", "currency": "USD"},
        details={"account_holder": "R", "iban": "DE89370400440532013000", "bic": "COBADEFFXXX"},
    )
    await stage.put(debtor, dollars)
    await stage.confirm(debtor)

    euros = await stage.drafted()
    reason = {line["affiliate_id"]: line["reason_code"] for line in await stage.lines(euros["id"])}[debtor]
    stage.later("2026-12-01T09:00:00+00:00")
    within = await stage.drafted(currency="USD", up_to="2026-12-01")
    stage.later("2027-02-01T09:00:00+00:00")
    past = {line["affiliate_id"]: line for line in await stage.lines(within["id"])}[debtor]
    await stage.act(within["id"], "cancel")
    beyond = await stage.drafted(currency="USD", up_to="2027-02-01")
    stopped = {line["affiliate_id"]: line for line in await stage.lines(beyond["id"])}[debtor]

    assert reason == "negative_balance"
    assert (past["state"], past["amount"]["amount"]) == ("draft", "70.00")
    assert (stopped["state"], stopped["reason_code"]) == ("left_out", "negative_past_cure")
    assert await stage.balance(debtor) == {"payable": "-100.00", "paid": "100.00"}


async def test_a_commission_is_paid_once_a_payout_covers_it_and_owed_again_when_that_comes_back(
    stage: PayoutStage,
) -> None:
    one = await stage.payee(10_000)
    before = await stage.statuses(one)
    run = await stage.exported([one])
    await stage.sale(one, 3_000)
    after = await stage.statuses(one)
    listed = await stage.reader.get("/v1/commissions", "affiliate", affiliate_id=one, status="paid")
    open_ones = await stage.reader.get("/v1/commissions", "affiliate", affiliate_id=one, status="payable")
    names = {line["affiliate_id"]: line["end_to_end_id"] for line in await stage.lines(run["id"], state="exported")}
    await stage.settle(run["id"], [(names[one], "100.00", "returned")])

    assert before == {"100.00": "payable"}
    assert after == {"100.00": "paid", "30.00": "payable"}
    assert [item["amount"]["amount"] for item in listed.json()["items"]] == ["100.00"]
    assert [item["amount"]["amount"] for item in open_ones.json()["items"]] == ["30.00"]
    assert await stage.statuses(one) == {"100.00": "payable", "30.00": "payable"}


async def test_the_statement_has_the_payout_as_a_line(stage: PayoutStage) -> None:
    one = await stage.payee(10_000)
    await stage.exported([one])

    answer = await stage.reader.get("/v1/statements", "affiliate", affiliate_id=one, period="2026-11", currency="EUR")

    assert ("payout", "-100.00") in [(line["kind"], line["amount"]) for line in answer.json()["lines"]]
    assert answer.json()["closing"] == "0.00"


async def test_runs_are_for_staff_and_payouts_for_their_affiliate(stage: PayoutStage) -> None:
    one = await stage.payee(10_000)
    run = await stage.exported([one])
    path = f"{RUNS}/{run['id']}"

    async def read(where: str, role: Any, **more: Any) -> httpx.Response:
        return await stage.reader.get(where, role, **more)

    for where in (RUNS, path, f"{path}/lines", f"{path}/file?format=pain.001"):
        assert (await read(where, "affiliate", affiliate_id=one)).status_code == 403
        assert (await read(where, "merchant", merchant_id=7)).status_code == 403
    own = (await read("/v1/payouts", "affiliate", affiliate_id=one)).json()["items"]
    foreign = await read("/v1/payouts", "affiliate", affiliate_id=one, affiliate_id_=1)
    other = (await read("/v1/payouts", "affiliate", affiliate_id=1)).json()["items"]

    assert [payout["amount"]["amount"] for payout in own] == ["100.00"]
    assert (foreign.status_code, other) == (404, [])
    assert (await read("/v1/payouts", "merchant", merchant_id=7)).status_code == 403
    for unknown in (str(uuid4()), "x"):
        assert (await read(f"{RUNS}/{unknown}", "finance")).status_code == 404
        assert (await stage.act(unknown, "approve")).status_code == 404


async def test_a_step_sent_again_under_its_key_is_done_once(stage: PayoutStage) -> None:
    await stage.payee(10_000)
    run = await stage.drafted(idempotency_key="draft-1")
    again = await stage.drafted(idempotency_key="draft-1")
    await stage.act(run["id"], "approve", key_id="second")
    first = await stage.act(run["id"], "export", idempotency_key="export-1")
    second = await stage.act(run["id"], "export", idempotency_key="export-1")
    third = await stage.act(run["id"], "export")

    assert again == run
    assert second.content == first.content
    assert (third.status_code, third.json()["code"]) == (409, "payout_transition_refused")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"up_to": "2026-11-25"}, 422, "up_to_in_future"),
        ({"up_to": "yesterday"}, 422, "date_malformed"),
        ({"block": 10**12}, 404, "block_not_found"),
        ({"method": "cheque"}, 422, "enum"),
        ({"currency": "eur"}, 422, "string_pattern_mismatch"),
    ],
)
async def test_a_draft_that_makes_no_sense_is_refused_by_field(
    stage: PayoutStage, changes: dict[str, Any], status: int, code: str
) -> None:
    body = {"currency": "EUR", "method": "bank", "up_to": "2026-11-24", **changes}

    refused = await stage.reader.send("POST", RUNS, "finance", body)

    assert refused.status_code == status
    assert code in (refused.json()["code"], *(error["code"] for error in refused.json()["errors"]))


async def test_a_paypal_run_and_a_plain_one_write_their_own_files(stage: PayoutStage) -> None:
    details = {"account_holder": "R", "paypal_email": "payee@example.com"}
    by_mail = await stage.payee(10_000, body=settings_body(method="paypal", details=details))
    plain_details = {"account_holder": "R", "account_number": "12345678", "bic": "BOFAUS3NXXX"}
    plain = await stage.payee(10_000, body=settings_body(method="csv", country="US", details=plain_details))

    paypal = await stage.exported([by_mail], method="paypal")
    table = await stage.exported([plain], method="csv")
    mail_file = (await stage.get_file(paypal["id"], format="paypal")).text
    table_file = (await stage.get_file(table["id"], format="csv")).text

    assert "payee@example.com" in mail_file
    assert "12345678" in table_file
    assert len(list(csv.reader(io.StringIO(mail_file)))) == 2
