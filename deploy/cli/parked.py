"""`tributary parked`: events that no log could take, to be read and let go again."""

from typing import Annotated, Any, Final, NoReturn

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, complain, print_json, print_table
from deploy.cli.place import ServiceArgument, database_as, run
from shared.contracts.topics import TOPICS
from shared.runtime.audit import Act, Author, record_act, state_hash
from shared.runtime.clock import SystemClock
from shared.runtime.parked import ParkedEvent, list_parked, release_parked

app = typer.Typer(no_args_is_help=True, help="Events that no log could take.")

LIST_MAX: Final = 1_000
"""More than anyone reads at once; --after goes on from the last id."""


@app.command("list")
def list_all(
    service: ServiceArgument,
    after: Annotated[int, typer.Option(min=0, help="Only ids above this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what stays behind in the outbox, oldest first. Exit 1 when there is any."""
    parked = run(_find(service, after, limit))
    if as_json:
        print_json([_summary(event) for event in parked])
    elif parked:
        print_table(
            ("ID", "TOPIC", "KEY", "BYTES", "CREATED AT", "OVERTAKEN", "REASON"),
            [tuple(_summary(event).values()) for event in parked],
        )
    else:
        typer.echo(f"Nothing is parked in {service}.")
    if parked:
        raise typer.Exit(EXIT_PROBLEM)


@app.command()
def release(
    service: ServiceArgument,
    outbox_id: Annotated[int, typer.Argument(metavar="ID", min=1, help="As `list` shows it.")],
) -> None:
    """Let the relay try one again. Exit 1 when it is not parked, or would undo later state."""
    event = next((found for found in run(_find(service, outbox_id - 1, 1)) if found.outbox_id == outbox_id), None)
    if event is None:
        _refuse(service, outbox_id)
    if event.overtaken and event.topic in TOPICS and TOPICS[event.topic].compacted:
        complain(
            f"A later state of the same thing is in {event.topic} already: this one would undo it.",
            "Leave it parked; what it said is history.",
        )
        raise typer.Exit(EXIT_PROBLEM)
    if not run(_release(service, outbox_id)):
        _refuse(service, outbox_id)
    typer.echo(f"Let go. If no log takes it, it is back in `tributary parked list {service}`.")


async def _find(service: str, after: int, limit: int) -> list[ParkedEvent]:
    async with database_as(service, "worker") as database, database.transaction() as session:
        return list(await list_parked(session, after_id=after, limit=limit))


async def _release(service: str, outbox_id: int) -> bool:
    async with database_as(service, "worker") as database, database.transaction() as session:
        if not await release_parked(session, outbox_id):
            return False
        before, after = (state_hash({"outbox_id": outbox_id, "parked": parked}) for parked in (True, False))
        act = Act("parked_event", str(outbox_id), before, after)
        await record_act(session, Author.operator("tributary parked release"), act, now=SystemClock().now())
        return True


def _refuse(service: str, outbox_id: int) -> NoReturn:
    complain(f"{service} has no parked event {outbox_id}.", f"`tributary parked list {service}` shows what there is.")
    raise typer.Exit(EXIT_PROBLEM)


def _summary(event: ParkedEvent) -> dict[str, Any]:
    return {
        "id": event.outbox_id,
        "topic": event.topic,
        "key": None if event.key is None else event.key.decode("utf-8", "backslashreplace"),
        "payload_bytes": event.payload_bytes,
        "created_at": event.created_at.isoformat(timespec="seconds"),
        "overtaken": event.overtaken,
        "reason": event.reason,
    }
