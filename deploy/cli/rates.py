"""`tributary rates`: the central bank's exchange rates into the commissions database, and which one holds."""

import re
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, complain, print_json, print_table
from deploy.cli.place import database_as, run
from deploy.cli.progress import Progress
from services.commissions.clients.ecb_file import FILE_BYTES_MAX, RateFile, RateFileInvalid, read_rate_file
from services.commissions.domain.exchange_rates import ExchangeRate, rate_text
from services.commissions.settings import RateSettings
from services.commissions.usecases.audited_rates import rates_act
from services.commissions.usecases.find_rate import RateMissing, find_rate
from services.commissions.usecases.find_waiting_rates import WaitingForRates, find_waiting_for_rates
from services.commissions.usecases.record_rates import RateCorrected, RatesRecorded, record_rates
from shared.runtime.audit import Author, record_act
from shared.runtime.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="Exchange rates.")

COMMAND: Final = "tributary rates import"
REASON_PATTERN: Final = r"[a-z][a-z0-9_]{0,31}"


def _reason(text: str | None) -> str | None:
    if text is not None and not re.fullmatch(REASON_PATTERN, text):
        raise typer.BadParameter("A reason is a short code such as published_wrong.")
    return text


@app.command("import")
def import_file(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True, help="CSV, ZIP or XML.")
    ],
    reason: Annotated[
        str | None, typer.Option(callback=_reason, help="Why, where the file corrects rates recorded before.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come of it, record nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Record the rates of one of the European Central Bank's files. The same file again changes nothing.

    Exit 1 when the file is not whole, or would correct a rate without a reason: then nothing of it is recorded.
    """
    try:
        content = _read(file)
        found = read_rate_file(content, today=SystemClock().now().date())
        outcome, waiting = run(_record(found.rates, reason, is_dry_run=dry_run))
    except (RateFileInvalid, RateCorrected) as refused:
        complain(f"{file.name}: {refused}.", "Nothing of it is recorded." + _remedy(refused))
        raise typer.Exit(EXIT_PROBLEM) from None
    _say(outcome, waiting, found, dry_run=dry_run, as_json=as_json)


@app.command()
def show(
    base: Annotated[str, typer.Argument(metavar="BASE", help="Such as USD.")],
    quote: Annotated[str, typer.Argument(metavar="QUOTE", help="Such as EUR.")],
    on: Annotated[
        datetime | None, typer.Option("--on", formats=["%Y-%m-%d"], help="The day; today without it.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show the rate that holds for a pair on a day. Exit 1 when none does."""
    day = SystemClock().now().date() if on is None else on.date()
    try:
        found = run(_find(base, quote, day))
    except RateMissing as missing:
        complain(f"{missing}.", "Import the central bank's file of that day, or record a rate.")
        raise typer.Exit(EXIT_PROBLEM) from None
    if as_json:
        print_json(_described(found))
    else:
        print_table(("BASE", "QUOTE", "RATE", "SOURCE", "AS OF"), [tuple(_described(found).values())])


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(FILE_BYTES_MAX + 1)


async def _record(
    rates: Sequence[ExchangeRate], reason: str | None, *, is_dry_run: bool
) -> tuple[RatesRecorded, WaitingForRates]:
    now, days_max = SystemClock().now(), RateSettings().exchange_rate_days_max
    async with database_as("commissions", "staff") as database, database.transaction() as session:
        with Progress("rates") as progress:
            outcome = await record_rates(
                session,
                rates,
                actor="operator",
                now=now,
                reason_code=reason,
                is_dry_run=is_dry_run,
                progress=progress.show,
            )
        if not is_dry_run:
            await record_act(session, Author.operator(COMMAND), rates_act(outcome, rates), now=now)
        return outcome, await find_waiting_for_rates(session, days_max=days_max)


async def _find(base: str, quote: str, day: date) -> ExchangeRate:
    async with database_as("commissions", "staff") as database, database.transaction() as session:
        days_max = RateSettings().exchange_rate_days_max
        return await find_rate(session, base=base, quote=quote, on=day, days_max=days_max)


def _say(outcome: RatesRecorded, waiting: WaitingForRates, found: RateFile, *, dry_run: bool, as_json: bool) -> None:
    first, last = found.rates[0].as_of, found.rates[-1].as_of
    if as_json:
        said = asdict(outcome) | {"import_id": str(outcome.import_id), "is_dry_run": dry_run}
        print_json({**said, "from": first, "to": last, "unknown_currencies": sorted(found.unknown), **asdict(waiting)})
        return
    verb = "would be recorded" if dry_run else "recorded"
    typer.echo(
        f"{outcome.recorded:,} rates {verb}, {outcome.corrected:,} of them corrections; {outcome.unchanged:,} known"
        f" before; days {first} to {last}."
    )
    if waiting.releasable or waiting.still_held:
        pairs = ", ".join(f"{count:,} for {pair}" for pair, count in waiting.still_held.items())
        typer.echo(
            f"Held commissions: {waiting.releasable:,} have their rate and can be released; waiting: {pairs or 0}."
        )
    if found.unknown:
        typer.echo(f"Left out, currencies of the past: {', '.join(sorted(found.unknown))}.")


def _remedy(refused: Exception) -> str:
    return " Name the reason by --reason if the bank did correct it." if isinstance(refused, RateCorrected) else ""


def _described(rate: ExchangeRate) -> dict[str, Any]:
    return {
        "base": rate.base,
        "quote": rate.quote,
        "rate": rate_text(rate.rate),
        "source": rate.source,
        "as_of": rate.as_of.isoformat(),
    }
