"""`tributary dead-letters`: events that a consumer set aside, to be read and handled after all."""

import base64
import json
from typing import Annotated, Any, Final, NoReturn

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, YesOption, complain, print_json, print_table
from deploy.cli.place import ServiceArgument, database_as, run
from shared.runtime.audit import Act, Author, record_act, state_hash
from shared.runtime.clock import SystemClock
from shared.runtime.dead_letter import DeadLetter, close_dead_letter, list_dead_letters, request_replay

app = typer.Typer(no_args_is_help=True, help="Events that a consumer could not handle.")

LIST_MAX: Final = 1_000
"""More than anyone reads at once; --after goes on from the last id."""

IdArgument = Annotated[int, typer.Argument(metavar="ID", min=1, help="As `list` shows it.")]


@app.command("list")
def list_open(
    service: ServiceArgument,
    consumer: Annotated[str | None, typer.Option(help="Only this consumer's.")] = None,
    after: Annotated[int, typer.Option(min=0, help="Only ids above this one.")] = 0,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List what waits to be replayed, oldest first. Exit 1 when there is any."""
    letters = run(_find(service, consumer=consumer, after=after, limit=limit))
    if as_json:
        print_json([_summary(letter) for letter in letters])
    elif letters:
        print_table(
            ("ID", "CONSUMER", "EVENT", "FAILED AT", "REPLAY ASKED", "REASON"),
            [
                (
                    letter.dead_letter_id,
                    letter.consumer,
                    _place(letter),
                    letter.failed_at.isoformat(timespec="seconds"),
                    letter.replay_requested_at and letter.replay_requested_at.isoformat(timespec="seconds"),
                    letter.reason,
                )
                for letter in letters
            ],
        )
    else:
        typer.echo(f"No dead letters in {service}.")
    if letters:
        raise typer.Exit(EXIT_PROBLEM)


@app.command()
def show(service: ServiceArgument, dead_letter_id: IdArgument, as_json: JsonOption = False) -> None:
    """Show one dead letter with its payload. Exit 1 when it does not exist or was replayed."""
    letters = run(_find(service, consumer=None, after=dead_letter_id - 1, limit=1))
    if not letters or letters[0].dead_letter_id != dead_letter_id:
        _refuse(service, dead_letter_id)
    details = _summary(letters[0]) | _contents(letters[0])
    if as_json:
        print_json(details)
        return
    print_table(
        ("FIELD", "VALUE"),
        [(name, json.dumps(value, indent=2) if name == "payload" else value) for name, value in details.items()],
    )


@app.command()
def replay(service: ServiceArgument, dead_letter_id: IdArgument) -> None:
    """Ask the consumer to handle it again; the consumer does so in a second or two. Exit 1 when there is none open."""
    if not run(_request(service, dead_letter_id)):
        _refuse(service, dead_letter_id)
    typer.echo(f"Asked for. If it fails again, it is back in `tributary dead-letters list {service}`.")


@app.command()
def close(
    service: ServiceArgument,
    dead_letter_id: IdArgument,
    because: Annotated[str, typer.Option(help="Why it is given up; kept with the row.")],
    yes: YesOption = False,
) -> None:
    """Give one up for good: nothing of it will be handled. Asks first. Exit 1 when there is none open, or no."""
    if not yes and not typer.confirm(f"Give up event {dead_letter_id} of {service} for good?"):
        raise typer.Exit(EXIT_PROBLEM)
    if not run(_close(service, dead_letter_id, because)):
        _refuse(service, dead_letter_id)
    typer.echo("Closed. Its row stays in the table dead_letter.")


async def _close(service: str, dead_letter_id: int, because: str) -> bool:
    now = SystemClock().now()
    async with database_as(service, "worker") as database, database.transaction() as session:
        if not await close_dead_letter(session, dead_letter_id, because=because, now=now):
            return False
        before, after = ({"dead_letter_id": dead_letter_id, "closed_at": closed_at} for closed_at in (None, now))
        act = Act("dead_letter", str(dead_letter_id), state_hash(before), state_hash(after))
        await record_act(session, Author.operator("tributary dead-letters close"), act, now=now)
        return True


async def _find(service: str, *, consumer: str | None, after: int, limit: int) -> list[DeadLetter]:
    async with database_as(service, "staff") as database, database.transaction() as session:
        return await list_dead_letters(session, consumer=consumer, after_id=after, limit=limit)


async def _request(service: str, dead_letter_id: int) -> bool:
    now = SystemClock().now()
    async with database_as(service, "staff") as database, database.transaction() as session:
        if not await request_replay(session, dead_letter_id, now=now):
            return False
        requested = state_hash({"dead_letter_id": dead_letter_id, "replay_requested_at": now})
        act = Act("dead_letter", str(dead_letter_id), None, requested)
        await record_act(session, Author.operator("tributary dead-letters replay"), act, now=now)
        return True


def _refuse(service: str, dead_letter_id: int) -> NoReturn:
    complain(
        f"{service} has no open dead letter {dead_letter_id}.",
        f"It may have been replayed; `tributary dead-letters list {service}` shows what is open.",
    )
    raise typer.Exit(EXIT_PROBLEM)


def _place(letter: DeadLetter) -> str:
    return f"{letter.received.topic}/{letter.received.partition}@{letter.received.offset}"


def _summary(letter: DeadLetter) -> dict[str, Any]:
    return {
        "id": letter.dead_letter_id,
        "consumer": letter.consumer,
        "topic": letter.received.topic,
        "partition": letter.received.partition,
        "offset": letter.received.offset,
        "reason": letter.reason,
        "failed_at": letter.failed_at.isoformat(),
        "replay_requested_at": letter.replay_requested_at and letter.replay_requested_at.isoformat(),
    }


def _contents(letter: DeadLetter) -> dict[str, Any]:
    """The payload as JSON where it is JSON, else in base64: what cannot be decoded is often why it is here."""
    key, payload = letter.received.key, letter.received.payload
    shown: dict[str, Any] = {"key": None if key is None else key.decode("utf-8", "backslashreplace")}
    try:
        return shown | {"payload": json.loads(payload)}
    except ValueError:
        return shown | {"payload_base64": base64.b64encode(payload).decode("ascii")}
