"""`python -m tests.demo`: send, settle, recompute, compare to the cent. Exit 0 only if nothing differs."""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Final

from rich.console import Console

from tests.demo.amounts import DECIMALS
from tests.demo.comparison import balance_differences, find_differences
from tests.demo.expected import affiliate_totals, merchant_totals
from tests.demo.history import History, read_history
from tests.demo.model import Model
from tests.demo.network import NetworkBuilder, SetupFailed
from tests.demo.observed import Observer, UnexpectedAnswer
from tests.demo.options import OptionMissing, Options, read_options
from tests.demo.report import progress, show_differences, show_funnel, show_statements
from tests.demo.sender import NoAnswer, Sender
from tests.demo.stage import Stage
from tests.demo.traffic import deal_scenarios, play
from tests.demo.user_agents import read_user_agents

SETTLE_SECONDS_MAX: Final = 60.0
FIRST_LOOK_SECONDS: Final = 0.1
LONGEST_LOOK_SECONDS: Final = 2.0


async def run(options: Options, console: Console) -> int:
    """Do it all; gives the exit status."""
    random = Random(options.seed)
    history = History(options.history)
    sender = Sender(options.public_url, history, random)
    try:
        return await _run(options, console, random, history, sender)
    finally:
        await sender.close()
        history.close()


async def _run(options: Options, console: Console, random: Random, history: History, sender: Sender) -> int:
    started_at = time.monotonic()
    suffix = f"{int(time.time() * 1000) % 10**9:09d}"
    builder = NetworkBuilder(sender, history, options.admin_key, suffix)
    network = await builder.build()
    stage = Stage(network, sender, read_user_agents(random), random, suffix)
    dealt = deal_scenarios(options.postbacks, random)
    postbacks = sum(scenario.postbacks for scenario in dealt)
    async with progress(console, stage, clicks=options.clicks, postbacks=postbacks):
        await play(stage, clicks=options.clicks, dealt=dealt, spread_seconds=options.spread_seconds)
    sent_at = time.monotonic()

    model = Model(read_history(options.history))
    observer = Observer(sender, network, await builder.finance_key())
    differences, commissions = await _settle(model, observer)

    conversions = list(model.conversions.values())
    show_funnel(console, model, commissions)
    show_statements(console, affiliate_totals(conversions), merchant_totals(conversions))
    console.print(
        f"{stage.clicks_done} clicks, {stage.postbacks_done} postbacks, {len(conversions)} conversions, "
        f"{sender.unanswered} requests sent again; sent in {sent_at - started_at:.1f} s, "
        f"settled and compared in {time.monotonic() - sent_at:.1f} s; history: {options.history}"
    )
    if differences:
        show_differences(console, differences)
        return 1
    console.print("No difference: the platform and the model agree to the cent.")
    return 0


async def _settle(model: Model, observer: Observer) -> tuple[list[str], Counter[str]]:
    """Look until nothing differs, or SETTLE_SECONDS_MAX have passed; what differs then is a difference."""
    give_up_at = time.monotonic() + SETTLE_SECONDS_MAX
    pause = FIRST_LOOK_SECONDS
    while time.monotonic() < give_up_at and balance_differences(model, await observer.balances()):
        await asyncio.sleep(pause)
        pause = min(pause * 1.5, LONGEST_LOOK_SECONDS)
    while True:
        observed = await observer.everything(list(DECIMALS))
        differences = [*find_differences(model, observed), *balance_differences(model, observed.balances)]
        if not differences or model.problems or time.monotonic() > give_up_at:
            break
        await asyncio.sleep(pause)
    statuses = Counter(str(row["status"]) for rows in observed.commissions.values() for row in rows)
    return differences, statuses


def main(arguments: Sequence[str]) -> int:
    """The exit status: 0 no difference, 1 differences, 2 it could not be tried."""
    console = Console(soft_wrap=True)
    try:
        return asyncio.run(run(read_options(arguments), console))
    except OptionMissing as missing:
        console.print(str(missing), markup=False)
    except (NoAnswer, SetupFailed, UnexpectedAnswer) as failure:
        console.print(f"{type(failure).__name__}: {failure}", markup=False)
        return 1
    except BaseExceptionGroup as group:
        for fault in group.exceptions:
            console.print(f"{type(fault).__name__}: {fault}", markup=False)
        return 1
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
