"""`tributary backup create | restore | status`: a network on this machine, kept and brought back."""

import os
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from deploy.backup.create import create_base_backup, find_base_backups, read_archive_state
from deploy.backup.restore import restore
from deploy.cli.output import EXIT_PROBLEM, JsonOption, PlainGroup, complain, print_json, print_table
from deploy.cli.place import run, state_folder
from deploy.local.problem import PlainProblem
from deploy.local.state_folder import StateFolder
from deploy.local.wal_archive import BackupFolder, find_backup_folder

app = typer.Typer(cls=PlainGroup, no_args_is_help=True, help="Back the databases up, and restore them to an instant.")


@app.command()
def create(
    seal_with: Annotated[
        str | None, typer.Option(help="Program that encrypts the network's keys, stdin to stdout: 'age -r …'.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the running cluster and the network's keys into BACKUP_FOLDER, beside the archive of changes."""
    state = state_folder()
    backups = _backups(state)
    problem = run(read_archive_state(state)).problem
    if problem is not None:
        raise PlainProblem(f"Changes are not archived: {problem}.", f"See {state.logs / 'postgres.log'}.")
    made = create_base_backup(state, backups, os.environ, seal_with=seal_with)
    if as_json:
        print_json(asdict(made))
    else:
        typer.echo(f"{made.folder}: restores to any instant from {made.finished_at:%Y-%m-%dT%H:%M:%S.%fZ} on")


@app.command(name="restore")
def restore_command(
    folder: Annotated[Path, typer.Argument(metavar="BACKUP_FOLDER", help="What BACKUP_FOLDER was.")],
    into: Annotated[Path, typer.Option(help="A new folder: TRIBUTARY_HOME of the restored network.")],
    to: Annotated[
        str | None, typer.Option(help="Instant, RFC 3339 with its offset; without it, the last change archived.")
    ] = None,
    unseal_with: Annotated[str | None, typer.Option(help="Program that opens what --seal-with closed.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Bring a network back in a new folder and prove its ledger. Exit 1: it is not proved; the folder is kept."""
    restored = restore(
        BackupFolder(folder.absolute()), StateFolder(into.absolute()), to=_instant(to), unseal_with=unseal_with
    )
    if as_json:
        print_json(asdict(restored))
    else:
        typer.echo(f"restored to {restored.until or 'before the first change'}: {restored.verification}")
        if restored.strangers:
            complain(f"{len(restored.strangers)} credited conversions are unknown to conversions (see --json).")
        typer.echo(f"Start it: TRIBUTARY_HOME={into} make run")
    if not restored.is_proved:
        raise typer.Exit(EXIT_PROBLEM)


@app.command()
def status(as_json: JsonOption = False) -> None:
    """Show the base backups and how the archive gets on. Exit 1: changes are not safe now, or no base backup is."""
    state = state_folder()
    bases, archive = find_base_backups(_backups(state)), run(read_archive_state(state))
    problem = archive.problem or (None if bases else "there is no base backup")
    if as_json:
        print_json({"base_backups": [asdict(base) for base in bases], "archive": asdict(archive), "problem": problem})
    else:
        print_table(["base backup", "restores from"], [[base.folder.name, base.finished_at] for base in bases])
        last = archive.last_archived_at or "—"
        typer.echo(f"{archive.archived} segments archived, the last at {last}; {archive.waiting} wait")
    if problem is not None:
        complain(f"Not safe: {problem}.", "deploy/runbooks/backup-restore.md")
        raise typer.Exit(EXIT_PROBLEM)


def _backups(state: StateFolder) -> BackupFolder:
    found = find_backup_folder(state.path, os.environ)
    if found is None or not state.path.exists():
        raise PlainProblem("This network keeps no backups.", "Start it with BACKUP_FOLDER=/folder make run.")
    return found


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise typer.BadParameter(f"{text} is not an instant such as 2026-11-24T12:00:00Z.", param_hint="--to")
    return instant.astimezone(UTC)
