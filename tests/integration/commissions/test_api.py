"""What each role reads of commissions, balances, statements and the ledger; and what nobody reads of another."""

import csv
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.statement import Party
from services.commissions.storage.statement_store import stream_lines
from services.commissions.usecases.post_acts import post_acts
from services.commissions.usecases.read_statement import StatementRequest, read_statement
from shared.kernel.period import parse_period
from shared.runtime.database import Database
from shared.runtime.pagination import encode_cursor
from shared.runtime.principal import Role
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.ledger import Desk, query

THIS_MONTH = "2026-11"  # of FixedClock


@dataclass(frozen=True, slots=True)
class Scene:
    """One sale of 100.00 EUR, approved, a quarter of it refunded: commission 7.50, margin 1.50."""

    reader: Reader
    desk: Desk
    offer_id: int
    affiliate_id: int
    merchant_id: int
    conversion_id: UUID


@pytest_asyncio.fixture(loop_scope="session")
async def scene(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    clock_file = tmp_path / "clock"
    clock_file.write_text("2026-11-24T09:00:00+00:00")
    desk, offer_id, affiliate_id, merchant_id, one = Desk(worker_database), fresh_id(), fresh_id(), 7, uuid4()
    await desk.publish(offer_version(offer_id, hold_days=30))
    now = datetime(2026, 11, 20, tzinfo=UTC)
    for version, status, net, change, reason in (
        (1, "pending", 10_000, "recorded", None),
        (2, "approved", 10_000, "approved", None),
        (3, "approved", 7_500, "adjusted", "=item_returned"),
    ):
        await desk.convert(
            conversion(
                version,
                status,  # type: ignore[arg-type]
                conversion_id=one,
                offer_id=offer_id,
                affiliate_id=affiliate_id,
                ordered=euros(10_000),
                net=euros(net),
                change=change,
                reason_code=reason,
                occurred_at=now,
            )
        )
    async with commissions_api(postgres.migrate("commissions"), tmp_path, clock_file=clock_file) as reader:
        yield Scene(reader, desk, offer_id, affiliate_id, merchant_id, one)


async def test_an_affiliate_reads_its_commission_without_the_networks_part(scene: Scene) -> None:
    answer = await scene.reader.get("/v1/commissions", "affiliate", affiliate_id=scene.affiliate_id)

    (item,) = answer.json()["items"]
    assert item["amount"] == {"amount": "7.50", "currency": "EUR"}
    assert (item["status"], item["margin"], item["charge"], item["order_id"]) == ("approved", None, None, None)
    assert item["term"] == {"event": "sale", "kind": "percentage", "rate_percent": "10"}


async def test_the_merchant_reads_what_it_owes(scene: Scene) -> None:
    query: dict[str, Any] = {"offer_id": scene.offer_id, "status": "approved"}
    answer = await scene.reader.get("/v1/commissions", "merchant", merchant_id=7, **query)

    (item,) = answer.json()["items"]
    assert (item["charge"]["amount"], item["margin"]["amount"], item["subs"]) == ("9.00", "1.50", None)


async def test_the_trail_names_every_version_and_block_and_nothing_of_another_party(scene: Scene) -> None:
    listed = await scene.reader.get("/v1/commissions", "affiliate", affiliate_id=scene.affiliate_id)
    path = f"/v1/commissions/{listed.json()['items'][0]['id']}"

    own = (await scene.reader.get(f"{path}/trail", "affiliate", affiliate_id=scene.affiliate_id)).json()
    staff = (await scene.reader.get(f"{path}/trail", "finance")).json()

    assert [posting["kind"] for posting in own["postings"]] == ["accrual", "approval", "adjustment"]
    assert all(posting["block_number"] >= 1 for posting in own["postings"])
    accounts = {entry["account"] for posting in own["postings"] for entry in posting["entries"]}
    assert accounts == {f"affiliate_pending:{scene.affiliate_id}", f"affiliate_payable:{scene.affiliate_id}"}
    assert "margin" not in str({k: v for k, v in own.items() if k == "postings"})
    assert [v["amount_after"]["amount"] for v in own["versions"]] == ["10.00", "10.00", "7.50"]
    assert [v["margin_after"] for v in own["versions"]] == [None] * 3
    assert [v["net_after"]["amount"] for v in staff["versions"]] == ["100.00", "100.00", "75.00"]
    assert "network_margin" in str(staff["postings"])


@pytest.mark.parametrize("path", ["", "/trail"])
async def test_a_foreign_or_unknown_commission_is_404(scene: Scene, path: str) -> None:
    listed = await scene.reader.get("/v1/commissions", "affiliate", affiliate_id=scene.affiliate_id)
    commission_id = listed.json()["items"][0]["id"]

    for reference in (commission_id, str(uuid4()), "no-id"):
        for tenant in ({"affiliate_id": 1}, {"merchant_id": 1}):
            role: Role = "affiliate" if "affiliate_id" in tenant else "merchant"
            answer = await scene.reader.get(f"/v1/commissions/{reference}{path}", role, **tenant)  # type: ignore[arg-type]
            assert answer.status_code == 404


async def test_what_is_approved_is_payable_once_its_day_has_come(scene: Scene, tmp_path: Path) -> None:
    before = await scene.reader.get("/v1/balance", "affiliate", affiliate_id=scene.affiliate_id)
    (tmp_path / "clock").write_text("2026-12-20T00:00:00+00:00")
    after = await scene.reader.get("/v1/balance", "affiliate", affiliate_id=scene.affiliate_id)

    def shown(answer: dict[str, Any]) -> list[object]:
        (item,) = answer["items"]
        return [item[name]["amount"] for name in ("pending", "approved", "payable", "paid")]

    assert shown(before.json()) == ["0.00", "7.50", "0.00", "0.00"]
    assert shown(after.json()) == ["0.00", "0.00", "7.50", "0.00"]


async def test_a_statement_has_a_line_for_every_posting_and_closes_with_the_balance(scene: Scene) -> None:
    wanted: dict[str, Any] = {"period": THIS_MONTH, "currency": "EUR"}
    answer = await scene.reader.get("/v1/statements", "affiliate", affiliate_id=scene.affiliate_id, **wanted)

    statement = answer.json()
    assert [(line["kind"], line["amount"]) for line in statement["lines"]] == [
        ("accrual", "10.00"),
        ("approval", "0.00"),
        ("adjustment", "-2.50"),
    ]
    assert (statement["opening"], statement["closing"]) == ("0.00", "7.50")
    assert [(s["name"], s["opening"], s["closing"]) for s in statement["sections"]] == [
        ("pending", "0.00", "0.00"),
        ("payable", "0.00", "7.50"),
    ]
    assert answer.headers["tributary-block-hash"] == statement["block"]["hash"]


async def test_the_csv_is_the_same_bytes_whenever_it_is_read_and_runs_no_formula(scene: Scene) -> None:
    wanted: dict[str, Any] = {"period": THIS_MONTH, "currency": "EUR", "affiliate_id_": scene.affiliate_id}
    balance = await scene.reader.get("/v1/balance", "finance", affiliate_id_=scene.affiliate_id)
    cut = balance.json()["block_number"]

    first = await scene.reader.get("/v1/statements", "finance", format="csv", block=cut, **wanted)
    await scene.desk.convert(conversion(conversion_id=uuid4(), offer_id=scene.offer_id, ordered=euros(100)))
    again = await scene.reader.get("/v1/statements", "finance", accept="text/csv", block=cut, **wanted)

    rows = list(csv.DictReader(io.StringIO(first.text)))
    assert first.content == again.content
    assert [row["row"] for row in rows] == ["opening", *["line"] * 3, *["total"] * 3, "closing"]
    assert rows[3]["reason_code"] == "'=item_returned"
    assert rows[3]["payable"] == "-2.50"
    assert rows[-1]["block_number"] == str(cut)


@pytest.mark.parametrize(
    ("form", "content_type", "begins"),
    [
        ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK"),
        ("pdf", "application/pdf", b"%PDF-"),
    ],
)
async def test_a_statement_is_a_file_of_the_same_bytes_whatever_comes_later(
    scene: Scene, form: str, content_type: str, begins: bytes
) -> None:
    wanted: dict[str, Any] = {"period": THIS_MONTH, "currency": "EUR", "affiliate_id_": scene.affiliate_id}
    cut = (await scene.reader.get("/v1/statements", "finance", **wanted)).headers["tributary-block"]
    first = await scene.reader.get("/v1/statements", "finance", format=form, block=cut, **wanted)
    later = conversion(
        conversion_id=uuid4(), offer_id=scene.offer_id, affiliate_id=scene.affiliate_id, ordered=euros(900)
    )
    await scene.desk.convert(later)
    again = await scene.reader.get("/v1/statements", "finance", accept=content_type, block=cut, **wanted)
    newest = await scene.reader.get("/v1/statements", "finance", format=form, **wanted)
    foreign = await scene.reader.get("/v1/statements", "affiliate", affiliate_id=1, format=form, **wanted)

    assert first.content.startswith(begins)
    assert first.headers["content-type"] == content_type
    assert first.headers["content-disposition"].endswith(f'{scene.affiliate_id}-{THIS_MONTH}-EUR.{form}"')
    assert again.content == first.content
    assert newest.content != first.content
    assert (foreign.status_code, foreign.json()["code"]) == (404, "party_not_found")


async def test_lines_of_a_pdf_come_offer_by_offer_and_then_kind_by_kind(scene: Scene) -> None:
    party = Party(affiliate_id=scene.affiliate_id)
    other = fresh_id()
    await scene.desk.publish(offer_version(other))
    for offer_id in (other, scene.offer_id, other):
        sale = conversion(conversion_id=uuid4(), offer_id=offer_id, affiliate_id=scene.affiliate_id, ordered=euros(900))
        await scene.desk.convert(sale)
    for kind in ("bonus", "bonus"):
        inputs = {"affiliate_id": scene.affiliate_id, "amount_minor": 5, "currency": "EUR", "merchant_id": None}
        inputs |= {"payable_at": "2026-12-01T00:00:00+00:00"}
        act = FinanceAct(uuid4(), kind, inputs, "rule:test", datetime(2026, 11, 20, tzinfo=UTC))
        async with scene.desk.database.transaction() as session:
            await post_acts(session, [act], now=datetime(2026, 11, 24, 8, tzinfo=UTC))

    async with scene.desk.database.transaction() as session:
        statement = await read_statement(session, StatementRequest(party, parse_period(THIS_MONTH), "EUR", None))
        streams = [
            [line async for line in stream_lines(session, party, currency="EUR", cut=statement.cut, is_grouped=grouped)]
            for grouped in (False, True)
        ]

    booked, grouped = streams
    assert sorted(booked, key=lambda line: line.transaction_id) == sorted(grouped, key=lambda line: line.transaction_id)
    assert [line.offer_id for line in grouped] == [scene.offer_id] * 4 + [other] * 2 + [None] * 2
    for group in (scene.offer_id, other, None):
        assert [line for line in grouped if line.offer_id == group] == [
            line for line in booked if line.offer_id == group
        ]


async def test_the_list_of_statements_pages_through_everything_once(scene: Scene) -> None:
    seen, cursor = [], None
    for _ in range(1_000):
        more: dict[str, Any] = {} if cursor is None else {"cursor": cursor}
        page = (await scene.reader.get("/v1/statements", "finance", limit=3, **more)).json()
        seen += [(item["party"]["kind"], item["party"]["id"], item["currency"]) for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break

    assert len(seen) == len(set(seen))
    assert ("affiliate", scene.affiliate_id, "EUR") in seen
    assert ("merchant", 7, "EUR") in seen


async def test_another_partys_money_is_404_and_nobodys_is_422(scene: Scene) -> None:
    for path in ("/v1/balance", "/v1/statements"):
        foreign = await scene.reader.get(path, "affiliate", affiliate_id=scene.affiliate_id, merchant_id_=7)
        other = await scene.reader.get(path, "affiliate", affiliate_id=scene.affiliate_id, affiliate_id_=1)
        assert (foreign.status_code, other.status_code) == (404, 404)
    nobody = await scene.reader.get("/v1/balance", "finance")
    assert (nobody.status_code, nobody.json()["errors"][0]["field"]) == (422, "affiliate_id")


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("/v1/statements", {"period": "2026-13"}),
        ("/v1/statements", {"period": THIS_MONTH, "currency": "eur"}),
        ("/v1/statements", {"period": THIS_MONTH, "currency": "XYZ"}),
        ("/v1/statements", {"format": "csv"}),
        ("/v1/statements", {"cursor": "x"}),
        ("/v1/commissions", {"status": "paid?"}),
        ("/v1/commissions", {"from_": "yesterday"}),
        ("/v1/commissions", {"from_": "0001-01-01T00:00:00+23:00"}),
        ("/v1/commissions", {"to_": "9999-12-31T23:59:59-23:00"}),
        ("/v1/commissions", {"cursor": encode_cursor({"at": "0001-01-01T00:00:00+23:00", "id": str(uuid4())})}),
        ("/v1/commissions", {"limit": "201"}),
        ("/v1/commissions", {"cursor": "eyJhdCI6IjEiLCJpZCI6IjEifQ"}),
    ],
)
async def test_bad_parameters_are_named(scene: Scene, path: str, parameters: dict[str, Any]) -> None:
    answer = await scene.reader.get(path, "affiliate", affiliate_id=scene.affiliate_id, **parameters)

    assert answer.status_code == 422
    assert answer.json()["errors"]


async def test_the_ledger_is_for_staff_and_balances_at_every_block(scene: Scene, worker_database: Database) -> None:
    [(last,)] = await query(worker_database, "SELECT max(number) FROM block")

    for block in range(max(1, int(str(last)) - 5), int(str(last)) + 1):
        items = (await scene.reader.get("/v1/trial-balance", block=block)).json()["items"]
        assert [item["total"]["amount"] for item in items] == ["0.00"] * len(items)
    beyond = await scene.reader.get("/v1/trial-balance", block=int(str(last)) + 1)
    (newest, *_) = (await scene.reader.get("/v1/ledger", account=f"affiliate_payable:{scene.affiliate_id}")).json()[
        "items"
    ]
    chain = (await scene.reader.get("/v1/ledger/blocks", limit=2)).json()["items"]

    assert beyond.status_code == 404
    assert (newest["kind"], newest["reason_code"]) == ("adjustment", "=item_returned")
    assert chain[0]["previous_hash"] == chain[1]["hash"]
    for path in ("/v1/ledger", "/v1/ledger/blocks", "/v1/trial-balance"):
        assert (await scene.reader.get(path, "affiliate", affiliate_id=1)).status_code == 403
        assert (await scene.reader.client.get(path)).status_code == 401
