"""What the driver shows: progress while it works, then the funnel and the statements."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.demo.amounts import text_of
from tests.demo.expected import PartyTotals
from tests.demo.model import Model
from tests.demo.stage import Stage

REFRESH_SECONDS = 0.1
PLAIN_LINE_SECONDS = 5.0


@asynccontextmanager
async def progress(console: Console, stage: Stage, *, clicks: int, postbacks: int) -> AsyncIterator[None]:
    """Show how far the stage is, until the block ends: a bar on a terminal, a line now and then elsewhere."""
    show = _bars if console.is_terminal else _lines
    showing = asyncio.create_task(show(console, stage, clicks, postbacks))
    try:
        yield
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        console.print(f"{stage.clicks_done} clicks and {stage.postbacks_done} postbacks answered")


async def _bars(console: Console, stage: Stage, clicks: int, postbacks: int) -> None:
    columns = (TextColumn("{task.description:<10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bars:
        clicking = bars.add_task("clicks", total=clicks)
        reporting = bars.add_task("postbacks", total=postbacks)
        while True:
            bars.update(clicking, completed=stage.clicks_done)
            bars.update(reporting, completed=stage.postbacks_done)
            await asyncio.sleep(REFRESH_SECONDS)


async def _lines(console: Console, stage: Stage, clicks: int, postbacks: int) -> None:
    while True:
        console.print(f"clicks {stage.clicks_done}/{clicks}, postbacks {stage.postbacks_done}/{postbacks}")
        await asyncio.sleep(PLAIN_LINE_SECONDS)


def show_funnel(console: Console, model: Model, commissions: Mapping[str, int]) -> None:
    """From clicks to commissions, each stage by kind."""
    conversions = Counter("/".join(sorted(conversion.settled)) for conversion in model.conversions.values())
    for title, counts in (
        ("Clicks", model.click_answers),
        ("Postbacks", model.outcomes),
        ("Conversions", conversions),
        ("Commissions", commissions),
    ):
        table = Table("what", "how many", title=f"{title}: {sum(counts.values())}", title_justify="left")
        for name, count in sorted(counts.items()):
            table.add_row(name, str(count))
        console.print(table)


def show_statements(
    console: Console,
    affiliates: Mapping[tuple[int, str], PartyTotals],
    merchants: Mapping[tuple[int, str], PartyTotals],
) -> None:
    """Every party's money, as the model has it and the platform confirmed it."""
    table = Table("affiliate", "currency", "pending", "payable", title="Statements", title_justify="left")
    for (affiliate_id, currency), totals in sorted(affiliates.items()):
        pending, payable = text_of(totals.pending, currency), text_of(totals.payable, currency)
        table.add_row(str(affiliate_id), currency, pending, payable)
    console.print(table)
    table = Table("merchant", "currency", "charged", title="Merchants' charges", title_justify="left")
    for (merchant_id, currency), totals in sorted(merchants.items()):
        table.add_row(str(merchant_id), currency, text_of(totals.charged, currency))
    console.print(table)


def show_differences(console: Console, differences: Sequence[str], *, shown_max: int = 20) -> None:
    """The first differences, one a line."""
    console.print(f"{len(differences)} differences between the platform and the model:")
    for difference in differences[:shown_max]:
        console.print(f"  {difference}", markup=False, highlight=False)
