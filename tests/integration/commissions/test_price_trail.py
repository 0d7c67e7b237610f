"""The trail says why a commission is what it is: to everyone what is theirs, for ever the same."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest_asyncio

from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.recompute_ledger import recompute_ledger
from shared.contracts.catalogue import ConditionV1, OverrideV1, RateV1, RuleV1, TermV1
from shared.contracts.conversions import LineItemV1
from shared.runtime.database import Database
from shared.runtime.principal import Role
from tests.conftest import TestPostgres
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.commissions_api import Reader, commissions_api
from tests.factories.ledger import Desk

OTHER_AFFILIATE = 1_999_999_999


def _rule(rank: int, rate_percent: str, **condition: Any) -> RuleV1:
    conditions = [ConditionV1(holds="in", **condition)]
    return RuleV1(rank=rank, name=f"rule {rank}", conditions=conditions, pays=RateV1(rate_percent=rate_percent))


TERM = TermV1(
    event="sale",
    kind="percentage",
    rate_percent="10",
    margin_percent="20",
    margin_mode="of_commission",
    excludes=["tax"],
    rules=[
        _rule(3, "5", fact="category", values=["books"]),
        _rule(1, "50", fact="coupon", values=["SOMEBODYS-OWN"]),
        _rule(2, "30", fact="customer_status", values=["new"]),
    ],
    overrides=[OverrideV1(affiliate_id=OTHER_AFFILIATE, pays=RateV1(rate_percent="77"))],
)


@pytest_asyncio.fixture(loop_scope="session")
async def trail(postgres: TestPostgres, worker_database: Database, tmp_path: Path) -> AsyncIterator["_Trail"]:
    desk, offer_id, affiliate_id, one = Desk(worker_database), fresh_id(), fresh_id(), uuid4()
    await desk.publish(offer_version(offer_id, terms=[TERM]))
    for number, net in ((1, 11_900), (2, 5_950)):
        said = conversion(
            number,
            conversion_id=one,
            offer_id=offer_id,
            affiliate_id=affiliate_id,
            ordered=euros(11_900),
            net=euros(net),
        )
        facts: dict[str, Any] = {
            "tax": euros(1_900),
            "customer_status": "returning",
            "items": [LineItemV1(sku="b-1", category="Books", amount=euros(4_000))],
        }
        await desk.convert(msgspec.structs.replace(said, **facts))
    async with commissions_api(postgres.migrate("commissions"), tmp_path) as reader:
        yield _Trail(reader, affiliate_id)


class _Trail:
    def __init__(self, reader: Reader, affiliate_id: int) -> None:
        self.reader, self.affiliate_id = reader, affiliate_id

    async def read(self, role: Role, **party: int) -> dict[str, Any]:
        listed = await self.reader.get("/v1/commissions", "finance", affiliate_id_=self.affiliate_id)
        path = f"/v1/commissions/{listed.json()['items'][0]['id']}/trail"
        answer: dict[str, Any] = (await self.reader.get(path, role, **party)).json()  # type: ignore[arg-type]
        return answer


async def test_the_trail_names_the_rule_of_each_part_and_why_those_before_it_failed(trail: _Trail) -> None:
    first, second = (version["price"] for version in (await trail.read("finance"))["versions"])

    assert [part["decided_by"] for part in first["parts"]] == ["own_rate", "rule"]
    rest, books = first["parts"]
    assert (rest["is_rest"], rest["base"]["amount"], rest["rate_percent"]) == (True, "60.00", "10")
    assert (books["lines"], books["base"]["amount"], books["rank"], books["name"]) == ([1], "40.00", 3, "rule 3")
    assert [(each["rank"], each["failed"]["fact"]) for each in books["passed_over"]] == [
        (1, "coupon"),
        (2, "customer_status"),
    ]
    assert books["passed_over"][1]["failed"]["found"] == "returning"
    assert first["excluded"] == [{"part": "tax", "amount": {"amount": "19.00", "currency": "EUR"}}]
    assert (first["amount"]["amount"], first["margin"]["amount"], first["charge"]["amount"]) == ("6.40", "1.60", "8.00")
    assert (second["base"]["amount"], second["amount_before_rounding"]["amount"]) == ("50.00", "3.20")


async def test_an_affiliate_sees_its_own_rates_and_nothing_of_others(trail: _Trail) -> None:
    seen = await trail.read("affiliate", affiliate_id=trail.affiliate_id)

    price = seen["versions"][0]["price"]
    assert [part["rate_percent"] for part in price["parts"]] == ["8", "4"]  # a fifth of them is the network's
    assert (price["margin"], price["charge"], price["margin_mode"], price["margin_before_rounding"]) == (None,) * 4
    assert {part["margin_percent"] for part in price["parts"]} == {None}
    assert price["parts"][1]["passed_over"][0]["failed"]["values"] is None
    assert price["parts"][1]["passed_over"][1]["failed"] == {
        "fact": "customer_status", "holds": "in", "values": ["new"], "currency": None, "found": None,
    }  # fmt: skip
    term = seen["commission"]["term"]
    assert (term["rate_percent"], [rule["pays"] for rule in term["rules"]]) == (
        "8",
        [{"rate_percent": "4"}, {"rate_percent": "40"}, {"rate_percent": "24"}],
    )
    for secret in ("SOMEBODYS-OWN", str(OTHER_AFFILIATE), "'77'", "margin_percent': '", "of_commission", "returning"):
        assert secret not in str(seen)


async def test_the_merchant_sees_the_whole_term_and_no_sub_ids(trail: _Trail) -> None:
    seen = await trail.read("merchant", merchant_id=7)

    assert seen["commission"]["term"]["rules"][1]["conditions"][0]["values"] == ["SOMEBODYS-OWN"]
    assert seen["versions"][0]["price"]["parts"][1]["passed_over"][1]["failed"]["found"] is None
    assert seen["versions"][0]["price"]["margin"]["amount"] == "1.60"


async def test_the_trail_is_the_same_each_time_and_recomputing_proves_its_inputs(
    trail: _Trail, worker_database: Database
) -> None:
    first, second = await trail.read("finance"), await trail.read("finance")

    assert first == second
    assert [v["price"]["amount"] for v in first["versions"]] == [v["amount_after"] for v in first["versions"]]
    async with worker_database.transaction() as session:
        assert await recompute_ledger(session, OfferVersions()) >= 2
