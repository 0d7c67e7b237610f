"""`tributary conversions bulk`: a merchant's file through the public port, done once however often it is called."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from deploy.cli.main import app
from tests.e2e.client import click_id_in
from tests.e2e.network import Network
from tests.e2e.running_platform import RunningPlatform


@pytest.fixture
def network(platform: RunningPlatform, monkeypatch: pytest.MonkeyPatch) -> Network:
    """A network; the command asks its gateway."""
    monkeypatch.setenv("TRIBUTARY_URL", platform.public_url)
    monkeypatch.delenv("TRIBUTARY_API_KEY", raising=False)
    return Network(platform)


def _run(file: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["conversions", "bulk", str(file), *options])


def test_a_file_is_done_once_and_its_rows_are_told(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    merchant, affiliate = network.merchant(), network.affiliate()
    link = network.enrol(network.offer(merchant), affiliate)
    orders = [f"bulk-{number}" for number in range(3)]
    for order_id in orders:
        click_id = click_id_in(network.shopper.click(link).location)
        assert merchant.postback(click_id=click_id, order_id=order_id, amount="10.00", currency="EUR").status == 201
    file, results = tmp_path / "rows.csv", tmp_path / "results.csv"
    file.write_text("ref,action\n" + "".join(f"order:{order_id},approve\n" for order_id in [*orders, "unknown"]))
    monkeypatch.setenv("TRIBUTARY_API_KEY", merchant.api.key)

    first = _run(file, "--json", "--results", str(results))
    again = _run(file, "--json")

    job = json.loads(first.stdout)
    assert (first.exit_code, again.exit_code) == (1, 1)  # one order is nobody's
    assert (job["done"], job["refused"], job["status"]) == (3, 1, "finished")
    assert json.loads(again.stdout) == job
    rows = list(csv.DictReader(results.read_text().splitlines()))
    assert [(row["ref"], row["outcome"], row["status"]) for row in rows] == [
        *((f"order:{order_id}", "done", "approved") for order_id in orders),
        ("order:unknown", "refused", ""),
    ]
    assert merchant.api.key not in first.output + again.output


def test_what_is_refused_is_told_in_plain_words(
    network: Network, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = tmp_path / "rows.csv", tmp_path / "rows.xml"
    file.write_text("ref,colour\n1,red\n")
    other.write_text("<rows/>")

    keyless = _run(file)
    monkeypatch.setenv("TRIBUTARY_API_KEY", "trb_merchant_00000000_wrong")
    stranger = _run(file)
    monkeypatch.setenv("TRIBUTARY_API_KEY", network.merchant().api.key)
    wrong, unknown, nobody = _run(file), _run(other), _run(file, "--url", "http://127.0.0.1:9")

    assert [one.exit_code for one in (keyless, stranger, wrong, unknown, nobody)] == [2, 1, 1, 2, 2]
    assert "TRIBUTARY_API_KEY is not set" in keyless.output
    assert "unauthenticated" in stranger.output
    assert "columns" in wrong.output
    assert "Traceback" not in "".join(one.output for one in (keyless, stranger, wrong, unknown, nobody))
