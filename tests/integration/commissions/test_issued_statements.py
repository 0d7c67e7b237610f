"""Numbers without a gap, papers that never change, and a void statement whose replacement names it."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy.exc import DBAPIError

from services.commissions.domain.statement import Party
from services.commissions.domain.statement_document import Letterhead
from services.commissions.domain.statement_lifecycle import StatementState, StatementTransitionRefused
from services.commissions.domain.tax import SelfBilling, TaxSettings
from services.commissions.storage.issued_store import (
    IssuedStatement,
    find_current,
    find_file_hash,
    find_issued,
    insert_void,
)
from services.commissions.storage.statement_store import list_statement_rows, stream_lines
from services.commissions.usecases.close_period import close_passed_periods
from services.commissions.usecases.finalise_statements import finalise_statements
from services.commissions.usecases.hash_statement_files import hash_next_file
from services.commissions.usecases.issue_statement import StatementKey, issue_statement
from services.commissions.usecases.read_particulars import read_issued_document
from services.commissions.usecases.record_tax_settings import record_tax_settings
from services.commissions.usecases.statement_forms.forms import FORMS
from services.commissions.usecases.void_statement import StatementNotFound, void_statement
from shared.kernel.period import Period
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import fresh_id, tell_of_merchant
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.payouts import tell_of_affiliate
from tests.factories.statements import issue_empty_statement, tax_settings_body
from tests.integration.audit.chain import Chain
from tests.integration.commissions.test_statements import FEBRUARY, JANUARY, MARCH, Months, months

NETWORK = Letterhead("Meridian", ("12 Harbour Street",), "DE123456789")
NOW = datetime(2031, 3, 20, tzinfo=UTC)
SETTINGS = TaxSettings(
    valid_from=date(2030, 1, 1),
    legal_name="Café Łódź",
    address=("Rue de l’Église 5",),
    country="BE",
    tax_id="BE0123456789",
    rate_percent=Decimal(21),
    is_reverse_charge=False,
)


async def number_everything(ledger: Months) -> None:
    """Close what has passed, number it all, and record every file's hash."""
    await close_passed_periods(ledger.session, NOW)
    while await finalise_statements(ledger.session, NOW, issuer=NETWORK):
        pass
    while await hash_next_file(ledger.session, ledger.clock):
        pass


async def current(ledger: Months, party: Party, period: Period) -> IssuedStatement:
    found = await find_current(ledger.session, party, period=period, currency="EUR")
    assert found is not None
    return found


async def files_of(ledger: Months, issued: IssuedStatement) -> dict[str, bytes]:
    """Every file of a numbered statement, rendered now."""
    document, files = await read_issued_document(ledger.session, issued), dict[str, bytes]()
    for name, form in FORMS.items():
        lines = stream_lines(
            ledger.session,
            issued.party,
            currency="EUR",
            cut=document.statement.cut,
            is_grouped=form.is_grouped,
        )
        files[name] = b"".join([part async for part in form.render(document, lines)])
    return files


async def test_every_party_has_a_number_for_every_closed_month_and_none_is_left_out(owner_database: Database) -> None:
    async with months(owner_database) as ledger:
        merchant = Party(merchant_id=ledger.merchant_id)
        await record_tax_settings(ledger.session, merchant, SETTINGS, actor="key:k", now=NOW)
        await number_everything(ledger)
        connection = await ledger.session.connection()
        rows = await connection.exec_driver_sql(
            "SELECT series, array_agg(n ORDER BY n) AS ns FROM statement GROUP BY 1"
        )
        numbers = {row.series: list(row.ns) for row in rows}
        papers = [await current(ledger, ledger.affiliate, month) for month in (JANUARY, FEBRUARY)]
        invoice = await current(ledger, merchant, JANUARY)
        quiet = await find_current(ledger.session, merchant, period=FEBRUARY, currency="EUR")
        still_open = await find_current(ledger.session, ledger.affiliate, period=MARCH, currency="EUR")
        statement = await ledger.statement(JANUARY)
        events = list(
            await connection.exec_driver_sql(
                "SELECT key, convert_from(payload, 'UTF8')::jsonb AS event FROM outbox"
                " WHERE payload LIKE '%statement_finalised%'::bytea AND key IN ($1, $2)",
                (str(ledger.affiliate_id).encode(), f"merchant:{ledger.merchant_id}".encode()),
            )
        )
        again = await finalise_statements(ledger.session, NOW, issuer=NETWORK)

    assert all(given == list(range(1, len(given) + 1)) for given in numbers.values())
    assert [paper.number[:3] for paper in papers] == ["CS-", "CS-"]
    assert (papers[0].opening_minor, papers[0].closing_minor) == (statement.opening_minor, statement.closing_minor)
    assert invoice.number.startswith("IN-")
    assert (invoice.net_minor, invoice.vat_minor) == (1200, 252)
    assert (quiet, still_open, again) == (None, None, 0)
    assert {(row.event if isinstance(row.event, dict) else json.loads(row.event))["number"] for row in events} == {
        paper.number for paper in (*papers, invoice)
    }


async def test_each_file_is_the_recorded_one_for_ever(owner_database: Database) -> None:
    """T16: after later refunds, other names, other settings and another letterhead."""
    async with months(owner_database) as ledger:
        agreed = replace(SETTINGS, self_billing=SelfBilling(date(2030, 1, 1), "A-7"))
        await record_tax_settings(ledger.session, ledger.affiliate, agreed, actor="key:k", now=NOW)
        await number_everything(ledger)
        paper = await current(ledger, ledger.affiliate, FEBRUARY)
        recorded = {name: await find_file_hash(ledger.session, paper.number, name) for name in FORMS}

        other = replace(SETTINGS, rate_percent=Decimal(6), legal_name="Another name")
        await record_tax_settings(ledger.session, ledger.affiliate, other, actor="key:k", now=NOW)
        await ledger.book(datetime(2031, 3, 16, tzinfo=UTC), 1, uuid4(), 5_000, "pending")
        files = await files_of(ledger, await current(ledger, ledger.affiliate, FEBRUARY))

    assert paper.number.startswith("SB-")
    assert {name: hashlib.sha256(file).digest() for name, file in files.items()} == recorded
    assert json.loads(files["json"])["document"]["tax"] == {
        "net": "10.00",
        "vat": "2.10",
        "gross": "12.10",
        "rate_percent": "21",
        "country": "BE",
        "reverse_charge": False,
        "self_billing_reference": "A-7",
    }


async def test_a_void_statement_and_its_replacement_name_each_other_and_both_stay(owner_database: Database) -> None:
    async with months(owner_database) as ledger:
        await number_everything(ledger)
        paper = await current(ledger, ledger.affiliate, FEBRUARY)
        before = await files_of(ledger, paper)
        await record_tax_settings(ledger.session, ledger.affiliate, SETTINGS, actor="key:k", now=NOW)
        act: dict[str, Any] = {"issuer": NETWORK, "reason_code": "wrong_tax", "actor": "key:k", "now": NOW}
        voided = await void_statement(ledger.session, paper.number, **act)
        with pytest.raises(StatementTransitionRefused):
            await void_statement(ledger.session, paper.number, **act)
        with pytest.raises(StatementNotFound):
            await void_statement(ledger.session, "CS-999999", **act)
        void, newest = (
            await find_issued(ledger.session, paper.number),
            await current(ledger, ledger.affiliate, FEBRUARY),
        )
        assert void is not None
        after = await files_of(ledger, void)
        rows = await list_statement_rows(ledger.session, ledger.affiliate, currency=None, before=None, limit=10)
        twice = await void_statement(ledger.session, newest.number, **act)

    assert after == before
    assert (void.state, void.replaced_by, void.reason_code) == (StatementState.VOID, newest.number, "wrong_tax")
    assert (newest.number, newest.replaces, newest.state) == (voided.replacement.number, paper.number, "final")
    assert (paper.vat_minor, newest.vat_minor) == (None, 210)
    assert (newest.opening_minor, newest.closing_minor) == (paper.opening_minor, paper.closing_minor)
    assert [row.number for row in rows if row.period == FEBRUARY] == [newest.number]
    assert twice.replacement.replaces == newest.number


async def test_the_worker_may_do_all_of_it_and_may_make_nothing_void(worker_database: Database) -> None:
    async with months(worker_database) as ledger:
        await number_everything(ledger)
        paper = await current(ledger, ledger.affiliate, FEBRUARY)
        recorded = await find_file_hash(ledger.session, paper.number, "pdf")
        assert recorded is not None
        with pytest.raises(DBAPIError, match="statement_void"):
            await insert_void(
                ledger.session, paper, replaced_by=paper.number, reason_code="any", actor="key:k", now=NOW
            )


async def test_an_open_month_gets_no_number(owner_database: Database) -> None:
    async with months(owner_database) as ledger:
        with pytest.raises(StatementTransitionRefused):
            await issue_statement(ledger.session, StatementKey(ledger.affiliate, MARCH, "EUR"), issuer=NETWORK, now=NOW)


@pytest.mark.parametrize("table", ["statement", "statement_void", "statement_file", "tax_settings", "statement_sweep"])
@pytest.mark.parametrize("change", ["UPDATE {} SET period = period", "DELETE FROM {}", "TRUNCATE {} CASCADE"])
async def test_what_was_issued_only_grows(owner_database: Database, table: str, change: str) -> None:
    column = {"statement_void": "number = number", "statement_file": "form = form", "tax_settings": "actor = actor"}
    statement = change.format(table).replace("period = period", column.get(table, "period = period"))
    with pytest.raises(DBAPIError, match="only grows"):
        async with owner_database.transaction() as session:
            await (await session.connection()).exec_driver_sql(statement)


@pytest_asyncio.fixture(loop_scope="session")
async def reader(postgres: TestPostgres, tmp_path: Path) -> AsyncIterator[Reader]:
    async with commissions_api(postgres.migrate("commissions"), tmp_path) as reader:
        yield reader


async def test_only_its_owner_and_staff_read_a_numbered_statement(worker_database: Database, reader: Reader) -> None:
    affiliate_id = fresh_id()
    path = f"/v1/statements/{await issue_empty_statement(worker_database, Party(affiliate_id=affiliate_id))}"

    for form, begins in (("pdf", b"%PDF"), ("xlsx", b"PK"), ("json", b"{"), ("csv", b"row,")):
        own = await reader.get(path, "affiliate", affiliate_id=affiliate_id, format=form)
        staff = await reader.get(path, "finance", format=form)
        assert own.content.startswith(begins)
        assert own.content == staff.content
        assert own.headers["tributary-statement-status"] == "final"
        tenants: tuple[dict[str, Any], ...] = ({"affiliate_id": fresh_id()}, {"merchant_id": affiliate_id})
        for tenant in tenants:
            role: Any = "affiliate" if "affiliate_id" in tenant else "merchant"
            foreign = await reader.get(path, role, format=form, **tenant)
            assert (foreign.status_code, foreign.json()["code"]) == (404, "statement_not_found")
    unknown = await reader.get("/v1/statements/CS-999999999", "finance")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "statement_not_found")


async def test_finance_voids_once_however_often_it_asks(
    worker_database: Database, reader: Reader, postgres: TestPostgres
) -> None:
    merchant_id, key = fresh_id(), uuid4().hex
    number = await issue_empty_statement(worker_database, Party(merchant_id=merchant_id))
    path, body = f"/v1/statements/{number}/void", {"reason_code": "wrong_address"}

    for role in ("admin", "merchant", "affiliate"):
        own: Any = {"merchant_id": merchant_id} if role == "merchant" else {}
        own |= {"affiliate_id": 1} if role == "affiliate" else {}
        assert (await reader.send("POST", path, role, body, **own)).status_code == 403
    nameless = await reader.send("POST", path, "finance", {})
    first = await reader.send("POST", path, "finance", body, idempotency_key=key)
    again = await reader.send("POST", path, "finance", body, idempotency_key=key)
    refused = await reader.send("POST", path, "finance", body)
    void = await reader.get(f"/v1/statements/{number}", "merchant", merchant_id=merchant_id)

    assert nameless.status_code == 422
    assert (first.status_code, first.json()) == (200, again.json())
    assert first.json()["void"]["replaced_by"] == first.json()["replacement"]["number"]
    assert first.json()["replacement"]["replaces"] == number
    assert (refused.status_code, refused.json()["code"]) == (409, "statement_transition_refused")
    assert void.headers["tributary-statement-status"] == "void"
    assert void.headers["tributary-statement-replaced-by"] == first.json()["replacement"]["number"]
    entries = await Chain(postgres, "commissions").query(
        "SELECT action, outcome FROM audit_entry WHERE object_id = $1 AND outcome = 'done'", number
    )
    assert [tuple(entry) for entry in entries] == [("POST /v1/statements/{statement_id}/void", "done")]


GIVEN = tax_settings_body(self_billing={"agreed_on": "2025-12-01", "reference": "A-7"})


async def test_tax_settings_grow_and_are_read_by_their_party_only(
    reader: Reader, postgres: TestPostgres, worker_database: Database
) -> None:
    affiliate_id, key = fresh_id(), uuid4().hex
    await tell_of_affiliate(worker_database, affiliate_id)
    path = f"/v1/affiliates/{affiliate_id}/tax-settings"

    first = await reader.send("PUT", path, "finance", GIVEN, idempotency_key=key)
    again = await reader.send("PUT", path, "finance", GIVEN, idempotency_key=key)
    same = await reader.send("PUT", path, "finance", GIVEN)
    changed = await reader.send("PUT", path, "finance", GIVEN | {"rate_percent": "6", "valid_from": "2027-01-01"})
    own = await reader.get(path, "affiliate", affiliate_id=affiliate_id)
    foreign = await reader.get(path, "affiliate", affiliate_id=fresh_id())
    merchant = await reader.get(path, "merchant", merchant_id=affiliate_id)
    denied = await reader.send("PUT", path, "affiliate", GIVEN, affiliate_id=affiliate_id)

    assert (first.status_code, again.json(), same.json()) == (200, first.json(), first.json())
    assert [item["rate_percent"] for item in own.json()["items"]] == ["6", "21"]
    assert own.json()["items"][0] == changed.json()
    assert (foreign.status_code, merchant.status_code, denied.status_code) == (404, 404, 403)
    entries = await Chain(postgres, "commissions").query(
        "SELECT before_hash = after_hash AS same FROM audit_entry WHERE object_id = $1 ORDER BY number",
        f"affiliate:{affiliate_id}",
    )
    assert [entry["same"] for entry in entries] == [None, True, False]


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("country", {"country": "be"}),
        ("tax_id", {"tax_id": "0123"}),
        ("tax_id", {"tax_id": None, "reverse_charge": True, "rate_percent": "0"}),
        ("rate_percent", {"reverse_charge": True}),
        ("rate_percent", {"rate_percent": "100.5"}),
        ("address", {"address": []}),
        ("legal_name", {"legal_name": "a\nb"}),
        ("valid_from", {"valid_from": "2026-02-30"}),
        ("self_billing", {"party": "merchants"}),
    ],
)
async def test_tax_settings_without_sense_are_refused_by_field(
    reader: Reader, worker_database: Database, field: str, changed: dict[str, Any]
) -> None:
    body = GIVEN | changed
    party, party_id = body.pop("party", "affiliates"), fresh_id()
    await tell_of_affiliate(worker_database, party_id)
    await tell_of_merchant(worker_database, party_id)

    answer = await reader.send("PUT", f"/v1/{party}/{party_id}/tax-settings", "finance", body)

    assert answer.status_code == 422, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == [field]
