"""`tributary keyring`: rotate the keys of one keyring file. Shows numbers and ends, never a secret."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer

from deploy.cli.keyring_spread import wait_until_known
from deploy.cli.output import EXIT_PROBLEM, JsonOption, YesOption, complain, print_json, print_table
from deploy.cli.place import run, state_folder
from deploy.cli.sealing import DETAILS, PLURALS, SECRETS, count_sealed, reseal_all
from deploy.local.problem import PlainProblem
from deploy.local.roles import SecretFile
from deploy.local.secret_files import FILE_NAMES
from shared.runtime.clock import SystemClock
from shared.runtime.keyring import (
    KEY_ID_MAX,
    Key,
    Keyring,
    KeyringInvalid,
    add_key,
    promote_key,
    retire_key,
)

app = typer.Typer(no_args_is_help=True, help="Rotate keys: add, promote a little later, retire in the end.")


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
    KeyringKind.SEALING: "Nothing valid is sealed with it here; backups that are can only be opened with it.",
}

_MEANS: Final = {
    SECRETS: "Their merchants' postbacks are refused: revoke those credentials and issue new ones.",
    DETAILS: "Those affiliates cannot be paid until they set their details again.",
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
    wait_until_known(path)
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
    """Let a key verify until an instant and no longer. Exit 1 for the key that signs, or still seals a secret."""
    path = _path(kind)
    keyring, until = _load(path), not_after.replace(tzinfo=UTC)
    _find(keyring, key)
    if keyring.signing.id == key:
        _refuse(f"Key {key} signs; promote another first.")
    if kind is KeyringKind.SEALING:
        _refuse_while_sealed(path, key)
    if not yes:
        typer.confirm(f"Key {key} ends at {_iso(until)}. {RETIRING_MEANS[kind]} Go on?", abort=True)
    _try(retire_key, path, key, not_after=until)
    typer.echo(f"Key {key} verifies until {_iso(until)}.")


@app.command()
def reseal(as_json: JsonOption = False) -> None:
    """Seal every postback secret and all bank details anew, with the key that signs, so that the others can be retired.

    Batch by batch, while the platform runs; stopped half-way it is simply run again. Exit 1 where one does not open.
    """
    path = _path(KeyringKind.SEALING)
    _load(path)
    wait_until_known(path)
    keyring = _load(path)
    done = run(reseal_all(keyring))
    unreadable = {what: ids for what, ids in done.unreadable.items() if ids}
    if as_json:
        lost = [unknown for ids in unreadable.values() for unknown in ids]
        print_json({"key": keyring.signing.id, "resealed": sum(done.resealed.values()), "unreadable": lost})
    else:
        typer.echo(f"Resealed {_spell(done.resealed)} with key {keyring.signing.id}.")
    for what, ids in unreadable.items():
        complain(f"{len(ids)} {PLURALS[what]} do not open: {', '.join(map(str, ids))}.", _MEANS[what])
    if unreadable:
        raise typer.Exit(EXIT_PROBLEM)


def _refuse_while_sealed(path: Path, key: int) -> None:
    """A process that has not read the file yet may still seal with the key: count only after the spread."""
    wait_until_known(path)
    sealed = run(count_sealed(key))
    if any(sealed.values()):
        complain(
            f"{_spell(sealed)} {'is' if sum(sealed.values()) == 1 else 'are'} still sealed with key {key}.",
            "Seal them anew first: tributary keyring reseal",
        )
        raise typer.Exit(EXIT_PROBLEM)


def _spell(counts: Mapping[str, int]) -> str:
    """`3 postback secrets and 1 version of bank details`, without what there is none of."""
    shown = {what: count for what, count in counts.items() if count} or {SECRETS: 0}
    return " and ".join(f"{count} {what if count == 1 else PLURALS[what]}" for what, count in shown.items())


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


def _iso(instant: datetime) -> str:
    return instant.isoformat(timespec="seconds").replace("+00:00", "Z")
