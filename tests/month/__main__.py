"""`make month`: a month of a network from its first click to its last verified posting. Exit 0 only if all agrees."""

import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Final

import aiohttp

from tests.e2e.running_platform import CHECKOUT, RunningPlatform
from tests.month.caller import Caller, MonthFailed, until
from tests.month.finance import pay, reconcile
from tests.month.network import Network, build, iban, record_rate
from tests.month.plan import DAYS, MONTH_START, SEED, Scale
from tests.month.trade import Order, click, refund, sell

UNLIMITED: Final = "1000000"
REFUNDED_BEFORE: Final = 0.04
REFUNDED_AFTER: Final = 0.01
PERIOD, NEXT_PERIOD = "2026-09", "2026-10"


class Month:
    """One run: the platform, its clock, and the seconds that each part took."""

    def __init__(self, scale: Scale, home: Path) -> None:
        self.scale = scale
        self.random = Random(SEED)
        self.seconds: dict[str, float] = {}
        self._clock = home / "clock"
        self.set_clock(MONTH_START)
        extra = {
            "TRIBUTARY_CLOCK": str(self._clock),
            "COMMISSIONS_PAYER_NAME": "Tributary Network GmbH",
            "COMMISSIONS_PAYER_IBAN": iban(9_999_999_999),
            "TRUSTED_PROXY_CIDRS": "127.0.0.1/32",
            **{f"LIMIT_{what}_PER_SECOND": UNLIMITED for what in ("KEY", "ADDRESS", "MERCHANT")},
            **{f"LIMIT_{what}_BURST": UNLIMITED for what in ("KEY", "ADDRESS", "MERCHANT")},
        }
        self.platform = RunningPlatform(home, os.environ.get("BROKER", "embedded"), extra)

    def set_clock(self, instant: datetime) -> None:
        """Time goes on from `instant`. The file is replaced at once, since every process reads it all the time."""
        fresh = self._clock.with_suffix(".next")
        fresh.write_text(f"{(instant - datetime.now(UTC)).total_seconds():+.3f}")
        fresh.replace(self._clock)

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time one part and say so."""
        started = time.monotonic()
        print(f"{name} …", flush=True)
        yield
        self.seconds[name] = time.monotonic() - started
        print(f"  {self.seconds[name]:.1f} s", flush=True)

    async def run(self) -> None:
        """The month, its payouts, its late refunds, and the proof."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session:
            url = self.platform.public_url
            admin, shopper = (Caller(session, url, key) for key in (self.platform.admin_key, ""))
            with self.part("the network is made"):
                network = await build(admin, self.scale, self.random)
            orders = await self._trade(network, shopper)
            await self._close(network, orders)

    async def _trade(self, network: Network, shopper: Caller) -> list[Order]:
        with self.part(f"{self.scale.clicks:,} clicks"):
            clicks = await click(network, shopper, self.scale.clicks, self.random)
        orders: list[Order] = []
        with self.part(f"{self.scale.conversions:,} orders over {DAYS} days, some of them taken back"):
            for day in range(DAYS):
                self.set_clock(MONTH_START + timedelta(days=day))
                await record_rate(network.first, (MONTH_START + timedelta(days=day)).date())
                share = self.scale.conversions * (day + 1) // DAYS - len(orders)
                orders += await sell(clicks, len(orders), share, self.random)
        with self.part("refunds before anything is paid"):
            self.random.shuffle(orders)
            early = int(len(orders) * REFUNDED_BEFORE)
            await refund(network, orders[:early], "early", self.random)
        with self.part("every order is credited"):
            await until(lambda: _is_quiet(network), "all commissions are there")
        return orders[early:]

    async def _close(self, network: Network, orders: list[Order]) -> None:
        self.set_clock(datetime(2026, 10, 16, 12, tzinfo=UTC))
        with self.part("validation ends, the month closes"):
            await until(lambda: _is_approved(network), "everything is approved")
            await until(lambda: _is_final(network, PERIOD), "the month's statements are final")
        with self.part("payout runs: drafted, approved, exported, settled"):
            for paid in await pay(network, "2026-10-16"):
                print(f"  {paid.payees} payees, {paid.amount:,} {paid.currency}")
        with self.part("refunds after payment"):
            await refund(network, orders[: int(len(orders) * REFUNDED_AFTER)], "late", self.random)
            await until(lambda: _is_quiet(network), "the late refunds are posted")
        self.set_clock(datetime(2026, 11, 2, 12, tzinfo=UTC))
        with self.part("the next month closes"):
            await until(lambda: _is_final(network, NEXT_PERIOD), "the next month's statements are final")
        with self.part("statements against the ledger, to the cent"):
            for period in (PERIOD, NEXT_PERIOD):
                for currency, (count, affiliates, merchants) in (await reconcile(network, period)).items():
                    print(f"  {period} {currency}: {count} statements, owed {affiliates:,}, due {merchants:,}")


async def _is_quiet(network: Network) -> bool:
    """Two looks, a little apart, find the same newest block."""
    first = await _newest_block(network)
    await asyncio.sleep(2)
    return first == await _newest_block(network) and first > 0


async def _newest_block(network: Network) -> int:
    items = (await network.first.get("/v1/ledger/blocks", limit=1))["items"]
    return int(items[0]["number"]) if items else 0


async def _is_approved(network: Network) -> bool:
    return not (await network.first.get("/v1/commissions", status="accrued", limit=1))["items"]


async def _is_final(network: Network, period: str) -> bool:
    newest = [row async for row in network.first.pages("/v1/statements") if row["period"] == period]
    return bool(newest) and all(row["status"] == "final" for row in newest)


def _verify(home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "deploy.local.main", "verify"],
        cwd=CHECKOUT,
        env={**os.environ, "TRIBUTARY_HOME": str(home)},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise MonthFailed(f"the ledger is not proved: {done.stdout}{done.stderr}")
    return done.stdout.strip()


def _peak_memory(home: Path) -> list[tuple[str, int]]:
    """The most memory that each process of the platform has held, in MB."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            command = (status.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            environment = (status.parent / "environ").read_bytes()
            text = status.read_text()
        except OSError:
            continue
        if "services." in command and str(home).encode() in environment:
            peak = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM"))
            role = next(word for word in command.split() if word.startswith("services."))
            found.append((role.removeprefix("services."), peak // 1024))
    return sorted(found)


def main() -> int:
    """Run the month on a platform of its own."""
    home = Path(tempfile.mkdtemp(prefix="tributary-month-"))
    home.chmod(0o711)
    month, started = Month(Scale.from_environment(), home), time.monotonic()
    try:
        with month.part("the platform starts"):
            month.platform.start()
        asyncio.run(month.run())
        with month.part("verify, every posting repriced from its inputs"):
            print(f"  {_verify(home)}")
        peaks = ", ".join(f"{role} {megabytes}" for role, megabytes in _peak_memory(home))
        print(f"most memory held, MB: {peaks}")
        print(f"everything agrees; {time.monotonic() - started:.0f} s in all")
    except MonthFailed as failed:
        print(f"FAILED: {failed}", file=sys.stderr)
        return 1
    finally:
        month.platform.stop()
        shutil.rmtree(home, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
