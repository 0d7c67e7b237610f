"""`tributary price` says what the API's dry run says."""

import asyncio
import json

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from shared.contracts.catalogue import ConditionV1, RateV1, RuleV1, TermV1
from shared.runtime.database import Database
from tests.conftest import TestPostgres
from tests.factories.commissions import fresh_id, offer_version
from tests.factories.ledger import Desk

BOOKS = RuleV1(
    rank=1,
    name="books",
    conditions=[ConditionV1(fact="category", holds="in", values=["books"])],
    pays=RateV1(rate_percent="2"),
)
TERM = TermV1(event="sale", kind="percentage", rate_percent="10", margin_percent="1", rules=[BOOKS])


@pytest.fixture
def offer_id(postgres: TestPostgres, monkeypatch: pytest.MonkeyPatch) -> int:
    """A published offer, on the commissions database that the command finds."""
    url, offer_id = postgres.migrate("commissions"), fresh_id()
    monkeypatch.setenv("DATABASE_URL_COMMISSIONS", url)
    asyncio.run(_publish(url, offer_id))
    return offer_id


async def _publish(url: str, offer_id: int) -> None:
    database = Database(url, role="commissions_worker", pool_size=1)
    await Desk(database).publish(offer_version(offer_id, terms=[TERM]))
    await database.close()


def _price(offer_id: int, *options: str) -> Result:
    return CliRunner().invoke(app, ["price", str(offer_id), "--version", "1", "--amount", "100", *options])


def test_it_prices_lines_and_the_rest_and_shows_why(offer_id: int) -> None:
    options = ("--item", "category=Books,sku=B-1,amount=40.00", "--net", "50")
    result = _price(offer_id, *options, "--json")

    answer = json.loads(result.stdout)
    assert [part["decided_by"] for part in answer["price"]["parts"]] == ["own_rate", "rule"]
    assert answer["price"]["amount"] == {"amount": "3.40", "currency": "EUR"}
    shown = _price(offer_id, *options).stdout
    assert "rule 1 books" in shown
    assert "3.40 EUR" in shown


@pytest.mark.parametrize(
    "options",
    [("--currency", "XXQ"), ("--net", "1.001"), ("--event", "lead"), ("--quantity", "2000000")],
)
def test_what_has_no_price_is_said_in_a_line(offer_id: int, options: tuple[str, ...]) -> None:
    result = _price(offer_id, *options)

    assert result.exit_code == 1
    assert result.stdout == ""
    assert 1 <= len(result.stderr.strip().splitlines()) <= 2


@pytest.mark.parametrize("options", [("--item", "colour=red"), ("--item", "quantity=x"), ("--sub", "sub1")])
def test_what_is_called_wrongly_is_exit_2(offer_id: int, options: tuple[str, ...]) -> None:
    assert _price(offer_id, *options).exit_code == 2
