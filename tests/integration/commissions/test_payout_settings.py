"""How an affiliate wants to be paid: checked, sealed, masked, and slow to change."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from shared.runtime.database import Database, Tenant
from shared.runtime.keyring import Keyring, add_key, promote_key
from tests.conftest import TestPostgres
from tests.factories.commissions import fresh_id
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.ledger import query
from tests.factories.payouts import IBAN, OTHER_IBAN, settings_body, tell_of_affiliate

SETTINGS = "/v1/payout-settings"


@dataclass(frozen=True, slots=True)
class Scene:
    reader: Reader
    affiliate_id: int
    folder: Path

    async def put(self, body: dict[str, Any], **more: Any) -> httpx.Response:
        return await self.reader.send("PUT", SETTINGS, "affiliate", body, affiliate_id=self.affiliate_id, **more)

    async def get(self, **more: Any) -> Any:
        return (await self.reader.get(SETTINGS, "affiliate", affiliate_id=self.affiliate_id, **more)).json()

    def later(self, instant: str) -> None:
        (self.folder / "clock").write_text(instant)


@pytest_asyncio.fixture(loop_scope="session")
async def scene(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator[Scene]:
    clock_file = tmp_path / "clock"
    clock_file.write_text("2026-11-24T09:00:00+00:00")
    affiliate_id = fresh_id()
    await tell_of_affiliate(worker_database, affiliate_id)
    async with commissions_api(postgres.migrate("commissions"), tmp_path, clock_file=clock_file) as reader:
        yield Scene(reader, affiliate_id, tmp_path)


async def test_bank_details_come_out_masked_and_lie_sealed(scene: Scene, owner_database: Database) -> None:
    empty = await scene.get()
    answer = await scene.put(settings_body())
    shown = (await scene.get())["settings"]

    assert empty["settings"] is None
    assert answer.status_code == 200, answer.text
    assert shown["details"]["iban"] == "DE89 •••• 3000"
    assert shown["details"]["account_holder"] == "R••••"
    assert (shown["version"], shown["held_until"]) == (1, None)
    [row] = await query(
        owner_database, "SELECT payout_settings::text FROM payout_settings WHERE affiliate_id = $1", scene.affiliate_id
    )
    kept = await query(
        owner_database,
        "SELECT encode(answer, 'escape') FROM idempotency_key WHERE affiliate_id = $1",
        scene.affiliate_id,
    )
    for text in (answer.text, str(row), str(kept)):
        assert IBAN not in text
        assert IBAN.encode().hex() not in text
        assert "Reviews GmbH" not in text


@pytest.mark.parametrize(
    ("changes", "field", "code"),
    [
        (
            {"details": {"account_holder": "R", "iban": "DE88370400440532013000"}},
            "details.iban",
            "iban_check_digits_wrong",
        ),
        ({"details": {"account_holder": "R"}}, "details.iban", "detail_missing"),
        ({"details": {"account_holder": "R", "iban": OTHER_IBAN}}, "details.iban", "iban_of_another_country"),
        ({"details": {"account_holder": "R", "iban": IBAN, "bic": "NOBIC"}}, "details.bic", "bic_length_wrong"),
        ({"threshold": {"amount": "1.00", "currency": "USD"}}, "details.bic", "detail_missing"),
        ({"method": "paypal"}, "details.paypal_email", "detail_missing"),
        ({"frequency": "weekly"}, "weekday", "weekday_misplaced"),
        ({"weekday": "monday"}, "weekday", "weekday_misplaced"),
        ({"threshold": {"amount": "-1.00", "currency": "EUR"}}, "threshold.amount", "string_pattern_mismatch"),
        ({"net_days": 121}, "net_days", "less_than_equal"),
    ],
)
async def test_what_no_bank_takes_is_refused_by_field_and_changes_nothing(
    scene: Scene, changes: dict[str, Any], field: str, code: str
) -> None:
    assert (await scene.put(settings_body())).status_code == 200

    refused = await scene.put(settings_body(**changes))

    assert refused.status_code == 422
    assert [(error["field"], error["code"]) for error in refused.json()["errors"]] == [(field, code)]
    assert IBAN not in refused.text
    assert (await scene.get())["settings"]["version"] == 1


async def test_changed_details_wait_until_finance_confirms_them_and_others_do_not(scene: Scene) -> None:
    await scene.put(settings_body())
    threshold = await scene.put(settings_body(threshold={"amount": "50.00", "currency": "EUR"}, details=None))
    details = {"account_holder": "Reviews GmbH", "iban": OTHER_IBAN}
    changed = await scene.put(settings_body(country="FR", details=details))
    again = await scene.put(settings_body(country="FR", details=None, net_days=30))
    path = f"{SETTINGS}/{scene.affiliate_id}/confirm"

    own = await scene.reader.send("POST", path, "affiliate", affiliate_id=scene.affiliate_id)
    confirmed = await scene.reader.send("POST", path, "finance")

    assert threshold.json()["settings"]["held_until"] is None
    assert changed.json()["settings"]["held_until"] == "2026-11-27T09:00:00Z"
    assert again.json()["settings"]["held_until"] == "2026-11-27T09:00:00Z"
    assert own.status_code == 403
    assert confirmed.json()["settings"]["held_until"] is None
    assert confirmed.json()["settings"]["version"] == 4


async def test_each_method_says_what_it_needs(scene: Scene) -> None:
    germany = await scene.get(country="DE", currency="EUR")
    america = await scene.get(country="US", currency="USD")

    assert germany["required_fields"]["bank"] == ["account_holder", "iban"]
    assert america["required_fields"]["bank"] == ["account_holder", "account_number", "bic"]
    assert germany["required_fields"]["paypal"] == ["account_holder", "paypal_email"]


async def test_a_key_sent_again_is_one_change(scene: Scene) -> None:
    first = await scene.put(settings_body(), idempotency_key="one")
    again = await scene.put(settings_body(), idempotency_key="one")
    other = await scene.put(settings_body(net_days=3), idempotency_key="one")

    assert again.content == first.content
    assert again.headers["idempotent-replayed"] == "true"
    assert other.status_code == 422
    assert (await scene.get())["settings"]["version"] == 1


async def test_settings_are_their_affiliates_and_staffs_alone(scene: Scene, postgres: TestPostgres) -> None:
    await scene.put(settings_body())
    read, send = scene.reader.get, scene.reader.send

    other = await read(SETTINGS, "affiliate", affiliate_id=1)
    borrowed = await read(SETTINGS, "affiliate", affiliate_id=1, affiliate_id_=scene.affiliate_id)
    written = await send(
        "PUT", SETTINGS, "affiliate", settings_body(), affiliate_id=1, affiliate_id_=scene.affiliate_id
    )
    merchant = await read(SETTINGS, "merchant", merchant_id=7)
    finance = await read(SETTINGS, affiliate_id_=scene.affiliate_id)
    nobody = await send("PUT", SETTINGS, "finance", settings_body(), affiliate_id_=2**31 - 1)

    assert other.json()["settings"] is None
    assert (borrowed.status_code, written.status_code, merchant.status_code) == (404, 404, 403)
    assert finance.json()["settings"]["details"]["iban"] == "DE89 •••• 3000"
    assert (nobody.status_code, nobody.json()["code"]) == (404, "affiliate_not_found")
    api = Database(postgres.migrate("commissions"), role="commissions_api", pool_size=1)
    for tenant, seen in ((Tenant(affiliate_id=scene.affiliate_id), 1), (Tenant(affiliate_id=1), 0)):
        async with api.transaction(tenant=tenant) as session:
            connection = await session.connection()
            count = await connection.exec_driver_sql("SELECT count(*) FROM payout_settings")
            assert count.scalar_one() == seen
    await api.close()


async def test_finance_stops_payouts_with_a_reason_and_lifts_the_stop(scene: Scene) -> None:
    send, stops = scene.reader.send, "/v1/payout-stops"
    body = {"affiliate_id": scene.affiliate_id, "reason_code": "suspected_fraud"}

    bad = await send("POST", stops, "finance", {**body, "reason_code": "because"})
    made = await send("POST", stops, "finance", body)
    again = await send("POST", stops, "admin", {**body, "reason_code": "legal_order"})
    listed = (await scene.reader.get(stops, limit=200)).json()["items"]
    lifted = await send("POST", f"{stops}/{scene.affiliate_id}/lift", "finance")
    twice = await send("POST", f"{stops}/{scene.affiliate_id}/lift", "finance")
    own = await send("POST", stops, "affiliate", body, affiliate_id=scene.affiliate_id)

    assert (bad.status_code, bad.json()["errors"][0]["field"]) == (422, "reason_code")
    assert (made.json()["is_stopped"], made.json()["reason_code"]) == (True, "suspected_fraud")
    assert again.json() == made.json()
    assert scene.affiliate_id in [stop["affiliate_id"] for stop in listed]
    assert lifted.json()["is_stopped"] is False
    assert (twice.status_code, own.status_code) == (404, 403)


async def test_details_stay_readable_when_the_sealing_key_changes(scene: Scene, postgres: TestPostgres) -> None:
    await scene.put(settings_body())
    ring = scene.folder / "sealing.json"
    promote_key(ring, add_key(ring))

    async with commissions_api(  # a process that knows both keys
        postgres.migrate("commissions"), scene.folder, clock_file=scene.folder / "clock"
    ) as reader:
        answer = await reader.send(
            "PUT", SETTINGS, "affiliate", settings_body(details=None, net_days=5), affiliate_id=scene.affiliate_id
        )

    assert answer.json()["settings"]["details"]["iban"] == "DE89 •••• 3000"
    assert Keyring.load(ring).signing.id == 2
