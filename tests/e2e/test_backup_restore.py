"""T21: a network is restored to an instant within its load: all that was acknowledged before it, nothing after."""

import json
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.client import Client, Merchant, click_id_in
from tests.e2e.network import SETTLE_SECONDS, Affiliate, Network
from tests.e2e.running_platform import CHECKOUT, RunningPlatform, wait_until

ORDERS = 6
"""Before the base backup, between it and the instant, and after the instant: as many each."""

TICK_SECONDS = 0.05
"""Between the last acknowledged order and the instant, and the instant and the next: one machine's clock, rounded."""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="tributary-backup-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


class Shop:
    """A merchant with one affiliate, on a network that may be restored: its keys and links stay good."""

    def __init__(self, platform: RunningPlatform) -> None:
        self.network, self.url = Network(platform), platform.public_url
        self.merchant, self.affiliate = self.network.merchant(), self.network.affiliate()
        self.link = self.network.enrol(self.network.offer(self.merchant), self.affiliate)
        self.click_ids: dict[str, str] = {}
        self.receipts: dict[str, Any] = {}

    def moved_to(self, platform: RunningPlatform) -> None:
        """The same keys at the restored network's address."""
        url = platform.public_url
        self.link = url + self.link.removeprefix(self.url)
        self.merchant = Merchant(
            self.merchant.merchant_id,
            Client(url, self.merchant.api.key),
            self.merchant.secret,
            self.merchant.token,
        )
        self.affiliate = Affiliate(self.affiliate.affiliate_id, Client(url, self.affiliate.api.key))
        self.network = Network(platform)

    def sell(self, *orders: str) -> None:
        for order in orders:
            self.click_ids[order] = click_id_in(self.network.shopper.click(self.link).location)
            answer = self.report(order)
            assert answer.status == 201, answer.text
            self.receipts[order] = answer.body

    def report(self, order: str) -> Any:
        return self.merchant.postback(click_id=self.click_ids[order], order_id=order, amount="10.00", currency="EUR")

    def orders(self) -> set[str]:
        items = self.merchant.api.get("/v1/conversions", limit=200).body["items"]
        return {item["order_id"] for item in items}

    def pending(self) -> str:
        items = self.affiliate.api.get("/v1/balance").body["items"]
        return str(items[0]["pending"]["amount"]) if items else "0.00"

    def wait_for(self, orders: int) -> None:
        wait_until(lambda: self.pending() == f"{orders}.00", SETTLE_SECONDS, f"{orders} orders are credited")


@pytest.mark.timeout(400)
def test_a_restored_network_has_all_that_was_acknowledged_before_the_instant_and_nothing_after(folder: Path) -> None:
    first = RunningPlatform(folder / "first", "embedded", {"BACKUP_FOLDER": str(folder / "backups")})
    second = RunningPlatform(folder / "second", "embedded")
    for home in (first.home, second.home):
        home.mkdir(mode=0o711)
    try:
        first.start()
        shop = Shop(first)
        shop.sell(*_names("early"))
        base = tributary(first, "backup", "create", "--json")
        shop.sell(*_names("base"))
        shop.wait_for(2 * ORDERS)
        time.sleep(TICK_SECONDS)
        instant = datetime.now(UTC)
        time.sleep(TICK_SECONDS)
        shop.sell(*_names("late"))
        shop.wait_for(3 * ORDERS)
        assert datetime.fromisoformat(base["finished_at"]) < instant
        first.stop()

        backups = str(folder / "backups")
        to_instant = tributary(
            second, "backup", "restore", backups, "--into", str(second.home), "--to", instant.isoformat(), "--json"
        )
        assert to_instant["is_proved"]
        assert to_instant["strangers"] == []
        assert to_instant["until"] is not None
        to_end = tributary(first, "backup", "restore", backups, "--into", str(folder / "third"), "--json")
        assert _transactions(to_end["verification"]) == 3 * ORDERS
        assert _transactions(to_instant["verification"]) == 2 * ORDERS

        second.start()
        shop.moved_to(second)
        assert shop.orders() == {*_names("early"), *_names("base")}
        assert shop.pending() == f"{2 * ORDERS}.00"
        # What was acknowledged is known: the first answer comes back. What came after is new, and counts once.
        for order in (*_names("early"), *_names("base")):
            again = shop.report(order)
            assert (again.status, again.body["duplicate"]) == (200, True)
            assert again.body["receipt_id"] == shop.receipts[order]["receipt_id"]
        for order in _names("late"):
            assert shop.report(order).status == 201
        shop.sell("after")
        shop.wait_for(3 * ORDERS + 1)
        assert tributary(second, "verify", "--json")["proved"]
    finally:
        first.stop()
        second.stop()


@pytest.mark.timeout(300)
def test_secrets_in_a_backup_are_nobody_elses_to_read(folder: Path) -> None:
    backups = folder / "backups"
    platform = RunningPlatform(folder / "network", "embedded", {"BACKUP_FOLDER": str(backups)})
    platform.home.mkdir(mode=0o711)
    try:
        platform.start()
        made = Path(tributary(platform, "backup", "create", "--json")["folder"])
        sealed = Path(tributary(platform, "backup", "create", "--seal-with", "gzip -c", "--json")["folder"])
        assert (sealed / "secrets.tar.sealed").read_bytes().startswith(b"\x1f\x8b")
        assert not (sealed / "secrets.tar").exists()
        for path in made.rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or stat.S_IMODE(made.stat().st_mode) == 0o700
        assert stat.S_IMODE((made / "secrets.tar").stat().st_mode) == 0o600
        assert tributary(platform, "backup", "status", "--json")["problem"] is None

        backups.chmod(0o755)
        refused = run_tributary(platform, "backup", "create")
        assert refused.returncode == 2
        assert "Others may read" in refused.stderr
        refused = run_tributary(platform, "backup", "restore", str(backups), "--into", str(folder / "new"))
        assert refused.returncode == 2
        assert not (folder / "new").exists()

        backups.chmod(0o711)
        closed = run_tributary(platform, "backup", "restore", str(backups), "--into", str(folder / "new"))
        assert (closed.returncode, "sealed" in closed.stderr) == (2, True)
        early = run_tributary(
            platform, "backup", "restore", str(backups), "--into", str(folder / "new"), "--to", "2026-01-01T00:00:00Z"
        )
        assert (early.returncode, "oldest base backup" in early.stderr) == (2, True)
        late = run_tributary(
            platform,
            *("backup", "restore", str(backups), "--into", str(folder / "new"), "--unseal-with", "gzip -dc"),
            *("--to", "2099-01-01T00:00:00Z"),
        )
        assert (late.returncode, "archive ends before" in late.stderr) == (2, True), late.stderr
        assert not (folder / "new").exists()
        opened = run_tributary(
            platform, "backup", "restore", str(backups), "--into", str(folder / "new"), "--unseal-with", "gzip -dc"
        )
        assert opened.returncode == 0, opened.stderr
        assert (folder / "new" / "keys" / "click.json").read_text() == (platform.home / "keys/click.json").read_text()
    finally:
        platform.stop()


def _names(part: str) -> list[str]:
    return [f"{part}-{number}" for number in range(ORDERS)]


def _transactions(line: str) -> int:
    return int(line.split(" transactions")[0].rpartition(" ")[2])


def tributary(platform: RunningPlatform, *words: str) -> Any:
    """The command's JSON. Raises AssertionError when it fails."""
    done = run_tributary(platform, *words)
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def run_tributary(platform: RunningPlatform, *words: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "deploy.cli.main", *words],
        cwd=CHECKOUT,
        env=kept | {"TRIBUTARY_HOME": str(platform.home), **platform.extra},
        capture_output=True,
        text=True,
        check=False,
    )
