"""Load with history: the demo's traffic spread over time against a platform under test, judged afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from tests.demo.amounts import DECIMALS
from tests.demo.history import History, Operation, read_history
from tests.demo.model import Model
from tests.demo.network import NetworkBuilder
from tests.demo.observed import Observed, Observer
from tests.demo.scenarios import Scenario
from tests.demo.sender import Sender
from tests.demo.stage import Stage
from tests.demo.traffic import SHOPPERS, bulk_click, deal_scenarios, until_offers_are_known
from tests.demo.user_agents import read_user_agents
from tests.faults.checker import Findings, check
from tests.faults.dump import read_dump
from tests.faults.staged_platform import StagedPlatform

PATIENCE_SECONDS: Final = 120.0
"""How long an operation is tried again: longer than any outage a row makes."""

SETTLE_SECONDS_MAX: Final = 90.0
LOOK_EVERY_SECONDS: Final = 0.5


@dataclass(slots=True)
class Load:
    """One network on a platform, with its driver and its history file."""

    platform: StagedPlatform
    path: Path
    history: History
    stage: Stage
    random: Random
    observer: Observer

    @asynccontextmanager
    async def flowing(self, *, clicks_a_second: float, postbacks_a_second: float) -> AsyncIterator[None]:
        """Traffic of every kind while the block runs, at about these rates; then what was begun is finished.

        What is refused or unanswered is sent again until it is taken.
        """
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            for number in range(SHOPPERS):
                tasks.create_task(self._shop(stop, SHOPPERS / clicks_a_second, number / clicks_a_second))
            tasks.create_task(self._report(stop, postbacks_a_second, tasks))
            try:
                yield
            finally:
                stop.set()

    async def _shop(self, stop: asyncio.Event, pause_seconds: float, first_pause_seconds: float) -> None:
        await asyncio.sleep(first_pause_seconds)
        while not stop.is_set():
            next_at = time.monotonic() + pause_seconds
            await bulk_click(self.stage)
            await asyncio.sleep(max(0.0, next_at - time.monotonic()))

    async def _report(self, stop: asyncio.Event, postbacks_a_second: float, tasks: asyncio.TaskGroup) -> None:
        while not stop.is_set():
            for scenario in deal_scenarios(0, self.random):
                if stop.is_set():
                    break
                tasks.create_task(self._play(scenario))
                await asyncio.sleep(scenario.postbacks / postbacks_a_second)

    async def _play(self, scenario: Scenario) -> None:
        await scenario.play(self.stage)

    def operations(self) -> list[Operation]:
        """What the history says was done."""
        return [entry for entry in read_history(self.path) if isinstance(entry, Operation)]

    async def settle(self) -> Findings:
        """Look until platform and history agree, or SETTLE_SECONDS_MAX have passed; then what differs, differs."""
        model = Model(read_history(self.path))
        give_up_at = time.monotonic() + SETTLE_SECONDS_MAX
        while True:
            observed = await self._observe()
            findings = check(model, observed, await read_dump(self.platform))
            if findings.is_clean or model.problems or time.monotonic() > give_up_at:
                return findings
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _observe(self) -> Observed:
        return await self.observer.everything(list(DECIMALS))


@asynccontextmanager
async def prepared_load(platform: StagedPlatform, folder: Path, *, seed: int = 1) -> AsyncIterator[Load]:
    """A fresh network on the platform, ready for traffic."""
    random = Random(seed)
    path = folder / "history.jsonl"
    history = History(path)
    sender = Sender(platform.public_url, history, random, patience_seconds=PATIENCE_SECONDS)
    try:
        suffix = f"{int(time.time() * 1000) % 10**9:09d}"
        builder = NetworkBuilder(sender, history, platform.admin_key, suffix)
        network = await builder.build()
        stage = Stage(network, sender, read_user_agents(random), random, suffix)
        observer = Observer(sender, network, await builder.finance_key())
        await until_offers_are_known(stage)
        yield Load(platform, path, history, stage, random, observer)
    finally:
        await sender.close()
        history.close()


async def until(condition: Callable[[], Awaitable[bool]], seconds_max: float) -> float:
    """Poll until `condition` holds; gives the seconds it took, or `seconds_max` when it never did."""
    began_at = time.monotonic()
    while not await condition():
        if time.monotonic() - began_at > seconds_max:
            return seconds_max
        await asyncio.sleep(LOOK_EVERY_SECONDS / 5)
    return time.monotonic() - began_at
