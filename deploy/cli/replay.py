"""`tributary replay`: send one consumer back to the log's beginning."""

from typing import Annotated

import typer

from deploy.cli.output import EXIT_PROBLEM, YesOption, complain
from deploy.cli.place import database_as, known_service, run
from shared.runtime.audit import Act, Author, record_act
from shared.runtime.clock import SystemClock
from shared.runtime.event_log.positions import reset_positions


def replay(
    consumer: Annotated[str, typer.Argument(metavar="CONSUMER", help="Such as commissions.conversions.")],
    yes: YesOption = False,
) -> None:
    """Let a consumer read its topic again from the beginning. Events it knows change nothing; it may take long.

    Exit 1 when no such consumer stands anywhere, or when you answer no.
    """
    service = known_service(consumer.partition(".")[0])
    known = run(_consumers(service))
    if consumer not in known:
        complain(
            f"No consumer {consumer} has a position in {service}.", f"There are: {', '.join(known) or 'none yet'}."
        )
        raise typer.Exit(EXIT_PROBLEM)
    if not yes:
        typer.confirm(f"Replay everything the log still has into {consumer}?", abort=True)
    partitions = run(_reset(service, consumer))
    typer.echo(f"Forgot where {consumer} stood on {partitions} partition{'' if partitions == 1 else 's'}.")
    typer.echo("It notices within about a second and starts over.")


async def _consumers(service: str) -> list[str]:
    async with database_as(service, "staff") as database, database.reading() as connection:
        result = await connection.exec_driver_sql("SELECT DISTINCT consumer FROM position ORDER BY consumer")
        return [str(row.consumer) for row in result]


async def _reset(service: str, consumer: str) -> int:
    async with database_as(service, "worker") as database, database.transaction() as session:
        partitions = await reset_positions(session, consumer)
        act = Act("consumer", consumer, None, None)
        await record_act(session, Author.operator("tributary replay"), act, now=SystemClock().now())
        return partitions
