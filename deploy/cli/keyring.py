"""`tributary keyring`: rotate the keys of one keyring file. Shows numbers and ends, never a secret."""

import os
import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, YesOption, complain, print_json, print_table
from deploy.cli.place import state_folder
from deploy.local.problem import PlainProblem
from deploy.local.roles import SecretFile
from deploy.local.secret_files import FILE_NAMES
from shared.runtime.clock import SystemClock
from shared.runtime.keyring import (
    KEY_ID_MAX,
    POLL_SECONDS,
    Key,
    Keyring,
    KeyringInvalid,
    add_key,
    promote_key,
    retire_key,
)

app = typer.Typer(no_args_is_help=True, help="Rotate keys: add, promote a little later, retire in the end.")

SPREAD_SECONDS: Final = 5 * POLL_SECONDS
"""A promoted key must be known to every process; each looks at the file once per POLL_SECONDS."""


class KeyringKind(StrEnum):
    """Which keyring."""

    CLICK = "click"
    PRINCIPAL = "principal"
    SEALING = "sealing"


SECRET_FILES: Final = {
    KeyringKind.CLICK: SecretFile.CLICK_KEYRING,
    KeyringKind.PRINCIPAL: SecretFile.PRINCIPAL_KEYRING,
    KeyringKind.SEALING: SecretFile.SEALING_KEYRING,
}
RETIRING_MEANS: Final = {
    KeyringKind.CLICK: "Click IDs it signed earn nothing after that: keep it for the longest window, the late hours "
    "and 90 days more.",
    KeyringKind.PRINCIPAL: "Requests in flight between our processes fail if they outlast it.",
    KeyringKind.SEALING: "Postback secrets sealed with it cannot be opened after that: merchants need new ones first.",
}

TIME_FORMATS: Final = ("%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%SZ")

KindArgument = Annotated[KeyringKind, typer.Argument(metavar="KIND", help="click | principal | sealing")]
KeyArgument = Annotated[int, typer.Argument(metavar="KEY", min=0, max=KEY_ID_MAX, help="Its number, as `show` says.")]


@app.command()
def show(kind: KindArgument, as_json: JsonOption = False) -> None:
    """Show the keys: number, whether it signs, until when it verifies."""
    path = _path(kind)
    keyring, now = _load(path), SystemClock().now()
    keys = [_described(key, keyring, now) for key in _every_key(keyring)]
    if as_json:
        print_json({"kind": kind.value, "file": str(path), "keys": keys})
        return
    print_table(
        ("KEY", "SIGNS", "VERIFIES", "NOT AFTER"),
        [
            (key["id"], "yes" if key["signs"] else "no", "yes" if key["verifies"] else "no", key["not_after"])
            for key in keys
        ],
    )


@app.command()
def add(kind: KindArgument, as_json: JsonOption = False) -> None:
    """Add a key that verifies but does not sign yet. With copies of the file elsewhere, bring them this one."""
    path = _path(kind)
    _load(path)
    number = _try(add_key, path)
    if as_json:
        print_json({"kind": kind.value, "file": str(path), "added": number})
    else:
        typer.echo(f"Added key {number}. When every process and copy has it: tributary keyring promote {kind} {number}")


@app.command()
def promote(kind: KindArgument, key: KeyArgument) -> None:
    """Sign with this key from now on; waits until every process here has read the file. Exit 1 if it cannot sign."""
    path = _path(kind)
    found = _find(_load(path), key)
    if found.not_after is not None:
        _refuse(f"Key {key} ends at {_iso(found.not_after)}: what it signed would stop verifying then.")
    _wait_until_known(path)
    _try(promote_key, path, key)
    typer.echo(f"Key {key} signs now. The earlier ones still verify; end one with: tributary keyring retire {kind} …")


@app.command()
def retire(
    kind: KindArgument,
    key: KeyArgument,
    not_after: Annotated[
        datetime, typer.Option(formats=list(TIME_FORMATS), help="The last instant it verifies at, in UTC.")
    ],
    yes: YesOption = False,
) -> None:
    """Let a key verify until an instant and no longer. Exit 1 for the key that signs."""
    path = _path(kind)
    keyring, until = _load(path), not_after.replace(tzinfo=UTC)
    _find(keyring, key)
    if keyring.signing.id == key:
        _refuse(f"Key {key} signs; promote another first.")
    if not yes:
        typer.confirm(f"Key {key} ends at {_iso(until)}. {RETIRING_MEANS[kind]} Go on?", abort=True)
    _try(retire_key, path, key, not_after=until)
    typer.echo(f"Key {key} verifies until {_iso(until)}.")


def _path(kind: KeyringKind) -> Path:
    secret = SECRET_FILES[kind]
    return Path(os.environ.get(secret.value) or state_folder().keys / FILE_NAMES[secret])


def _load(path: Path) -> Keyring:
    try:
        return Keyring.load(path)
    except KeyringInvalid as fault:
        raise PlainProblem(
            f"The keyring {path} cannot be used: {fault}.", "It is made by the first `make run`."
        ) from None


def _try(change: Any, *arguments: Any, **named: Any) -> Any:
    try:
        return change(*arguments, **named)
    except KeyringInvalid as fault:
        _refuse(f"Refused: {fault}.")


def _refuse(what: str) -> NoReturn:
    complain(what)
    raise typer.Exit(EXIT_PROBLEM)


def _every_key(keyring: Keyring) -> list[Key]:
    """Ended ones too: at the beginning of time every key was valid."""
    beginning = datetime.min.replace(tzinfo=UTC)
    return [key for number in range(KEY_ID_MAX + 1) if (key := keyring.find(number, beginning)) is not None]


def _find(keyring: Keyring, number: int) -> Key:
    keys = {key.id: key for key in _every_key(keyring)}
    if number not in keys:
        _refuse(f"There is no key {number}; there are {', '.join(map(str, keys))}.")
    return keys[number]


def _described(key: Key, keyring: Keyring, now: datetime) -> dict[str, Any]:
    return {
        "id": key.id,
        "signs": key.id == keyring.signing.id,
        "verifies": key.is_valid_at(now),
        "not_after": None if key.not_after is None else _iso(key.not_after),
    }


def _wait_until_known(path: Path) -> None:
    """By the age of the file, since adding was its last change or an earlier one."""
    wait_seconds = SPREAD_SECONDS - (time.time() - path.stat().st_mtime)
    if wait_seconds > 0:
        wait_seconds = min(wait_seconds, SPREAD_SECONDS)  # a file from the future
        complain(f"The file changed a moment ago; waiting {wait_seconds:.0f} s for every process to read it.")
        time.sleep(wait_seconds)


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
