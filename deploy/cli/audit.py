"""`tributary audit`: who did what, and was denied what; and the proof that nobody has changed that since."""

import os
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, print_json, print_table
from deploy.cli.place import ServiceArgument, database_as, known_service, run, state_folder
from deploy.local.audit_chains import prove_chains
from shared.runtime.audit_reader import ChainedEntry, EntryFilter, Head, list_entries

app = typer.Typer(no_args_is_help=True, help="The audit chains: every privileged write and every denial.")

LIST_MAX: Final = 1_000
TIME_FORMATS: Final = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ"]
_ANCHOR: Final = re.compile(r"([a-z]+):([0-9]{1,18}):([0-9a-f]{64})", re.ASCII)

TextOption = Annotated[str | None, typer.Option()]


@app.command("list")
def list_some(
    service: ServiceArgument,
    role: TextOption = None,
    key_id: TextOption = None,
    action: Annotated[
        str | None, typer.Option(help="As `POST /v1/offers/{offer_id}/pause`, or a command of this program.")
    ] = None,
    object_type: TextOption = None,
    object_id: TextOption = None,
    request_id: TextOption = None,
    denied: Annotated[bool, typer.Option("--denied", help="Denials only.")] = False,
    from_at: Annotated[datetime | None, typer.Option("--from", formats=TIME_FORMATS, help="In UTC.")] = None,
    to_at: Annotated[datetime | None, typer.Option("--to", formats=TIME_FORMATS, help="Excluded.")] = None,
    before: Annotated[int | None, typer.Option(min=1, help="Only numbers below this one.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List a service's entries, newest first."""
    wanted = EntryFilter(
        role=role,  # type: ignore[arg-type]  # an unknown one matches nothing
        key_id=key_id,
        action=action,
        object_type=object_type,
        object_id=object_id,
        request_id=request_id,
        outcome="denied" if denied else None,
        from_at=_in_utc(from_at),
        to_at=_in_utc(to_at),
        before=before,
    )
    found = run(_list(service, wanted, limit))
    if as_json:
        print_json([_described(each) for each in found])
        return
    print_table(
        ("NUMBER", "AT", "WHO", "ACTION", "OBJECT", "OUTCOME", "REQUEST"),
        [
            (
                each.number,
                each.entry.occurred_at.isoformat(timespec="seconds"),
                _who(each),
                each.entry.action,
                f"{each.entry.object_type} {each.entry.object_id or ''}".strip(),
                _outcome(each),
                each.entry.request_id,
            )
            for each in found
        ],
    )


@app.command()
def verify(
    since: Annotated[
        list[str] | None,
        typer.Option(metavar="SERVICE:NUMBER:HASH", help="An end that an earlier proof printed, kept elsewhere."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Prove every chain and print its end: keep that elsewhere. Exit 1: broken, and the line names the first entry."""
    anchors = dict(_read_anchor(text) for text in since or [])
    reports = prove_chains(state_folder(), os.environ, anchors=anchors)
    if as_json:
        print_json(
            [
                {
                    "service": report.service,
                    "proved": report.head is not None,
                    "entries": None if report.head is None else report.head.number,
                    "hash": None if report.head is None else report.head.hash.hex(),
                    "broken": report.broken or None,
                }
                for report in reports
            ]
        )
    else:
        for report in reports:
            typer.echo(report.line)
    if any(report.broken for report in reports):
        raise typer.Exit(EXIT_PROBLEM)


async def _list(service: str, wanted: EntryFilter, limit: int) -> list[ChainedEntry]:
    async with database_as(service, "staff") as database, database.transaction() as session:
        return await list_entries(session, wanted, limit=limit)


def _read_anchor(text: str) -> tuple[str, Head]:
    match = _ANCHOR.fullmatch(text)
    if match is None:
        raise typer.BadParameter("An end is SERVICE:NUMBER:HASH, the hash in 64 hexadecimal digits.")
    return known_service(match[1]), Head(int(match[2]), bytes.fromhex(match[3]))


def _in_utc(instant: datetime | None) -> datetime | None:
    return None if instant is None else instant.replace(tzinfo=UTC)


def _who(found: ChainedEntry) -> str:
    entry = found.entry
    tenant = entry.merchant_id or entry.affiliate_id
    return " ".join(str(part) for part in (entry.role, tenant, entry.key_id) if part is not None)


def _outcome(found: ChainedEntry) -> str:
    entry = found.entry
    times = f" × {entry.occurrences}" if entry.occurrences > 1 else ""
    return f"{entry.outcome} {entry.code or ''}".strip() + times


def _described(found: ChainedEntry) -> dict[str, Any]:
    values = {name: getattr(found.entry, name) for name in found.entry.__slots__}
    shown = {name: value.hex() if isinstance(value, bytes) else value for name, value in values.items()}
    return {"number": found.number, **shown, "previous_hash": found.previous_hash.hex(), "hash": found.hash.hex()}
