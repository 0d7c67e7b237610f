"""The traffic: thousands of clicks by a few busy shoppers, and every scenario at once beside them."""

import asyncio
import time
from collections.abc import Iterator
from random import Random
from typing import Final

from tests.demo.network import until
from tests.demo.scenarios import SCENARIOS, Scenario
from tests.demo.stage import Agent, ClickWay, Offer, Stage

SHOPPERS: Final = 16
CLICK_MIX: Final[tuple[tuple[Agent, ClickWay, int], ...]] = (
    ("person", "get", 70),
    ("robot", "get", 18),
    ("person", "json", 4),
    ("person", "head", 4),
    ("person", "prefetch", 4),
)


def deal_scenarios(postbacks: int, random: Random) -> list[Scenario]:
    """Each scenario once, then more of the frequent ones, until at least `postbacks` are reported."""
    dealt = list(SCENARIOS)
    missing = postbacks - sum(scenario.postbacks for scenario in dealt)
    shares = [scenario.share for scenario in SCENARIOS]
    while missing > 0:
        scenario = random.choices(SCENARIOS, shares)[0]
        dealt.append(scenario)
        missing -= scenario.postbacks
    random.shuffle(dealt)
    return dealt


async def play(stage: Stage, *, clicks: int, dealt: list[Scenario], spread_seconds: float) -> None:
    """Click and report everything, spread evenly over `spread_seconds`."""
    await until_offers_are_known(stage)
    started_at = time.time()

    async def scenario_at(place: int, scenario: Scenario) -> None:
        await stage.until(started_at + spread_seconds * place / len(dealt))
        await scenario.play(stage)

    async def shopper(turns: Iterator[int]) -> None:
        for turn in turns:
            await stage.until(started_at + spread_seconds * turn / max(1, clicks))
            await bulk_click(stage)

    turns = iter(range(clicks))
    async with asyncio.TaskGroup() as tasks:
        for place, scenario in enumerate(dealt):
            tasks.create_task(scenario_at(place, scenario))
        for _ in range(SHOPPERS):
            tasks.create_task(shopper(turns))


async def until_offers_are_known(stage: Stage) -> None:
    """Return when no order of the stage's offers would have to wait for its offer."""
    await asyncio.gather(*(_until_conversions_know(stage, offer) for offer in stage.network.offers.values()))


async def _until_conversions_know(stage: Stage, offer: Offer) -> None:
    """An order of an offer that has just been made would wait for it; merchants here approve at once."""
    click_id = await stage.click(offer, stage.affiliate())

    async def is_known() -> bool:
        tried = await stage.post(offer.merchant, {**stage.order(offer, click_id), "test": "1"})
        return bool(tried.attempts[-1].json().get("status") != "waiting")

    await until(is_known, f"conversions knows offer {offer.offer_id}")


async def bulk_click(stage: Stage) -> None:
    """One click of the usual mix: people and robots, redirects, JSON, HEAD and prefetches."""
    offer = stage.random.choice(list(stage.network.offers.values()))
    (agent, way, _), *_ = stage.random.choices(CLICK_MIX, [share for _, _, share in CLICK_MIX])
    await stage.click(offer, stage.affiliate(), agent=agent, way=way)
