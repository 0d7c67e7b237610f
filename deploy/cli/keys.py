"""`tributary keys`: the API keys of the gateway, by the use cases its API uses. A secret is printed once."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Final, NoReturn

import typer

from deploy.cli.output import EXIT_PROBLEM, JsonOption, YesOption, complain, print_json, print_table
from deploy.cli.place import database_as, run
from services.gateway.domain.api_keys import ApiKey
from services.gateway.domain.refusals import CatalogueConflict, NotInCatalogue
from services.gateway.storage.key_store import find_key, list_keys
from services.gateway.usecases.audited import key_issued_act, key_revoked_act, key_rotated_act
from services.gateway.usecases.issue_key import issue_key
from services.gateway.usecases.revoke_key import revoke_key
from services.gateway.usecases.rotate_key import rotate_key
from shared.kernel.errors import InvalidValue
from shared.kernel.ids import ID_MAX
from shared.runtime.audit import Author, record_act
from shared.runtime.clock import SystemClock

app = typer.Typer(no_args_is_help=True, help="API keys: who may call the platform. A secret is printed once.")

LIST_MAX: Final = 1_000
LABEL_CHARACTERS_MAX: Final = 80
"""As the API has it."""


class KeyRole(StrEnum):
    """What a key opens."""

    ADMIN = "admin"
    MERCHANT = "merchant"
    AFFILIATE = "affiliate"
    FINANCE = "finance"


KeyArgument = Annotated[
    str, typer.Argument(metavar="KEY_ID", help="The eight characters in its middle, as `list` shows them.")
]
MerchantOption = Annotated[int | None, typer.Option(min=1, max=ID_MAX, help="Whose key, for role merchant.")]
AffiliateOption = Annotated[int | None, typer.Option(min=1, max=ID_MAX, help="Whose key, for role affiliate.")]


@app.command("list")
def list_all(
    merchant_id: Annotated[int | None, typer.Option(min=1, max=ID_MAX, help="Only this merchant's.")] = None,
    affiliate_id: Annotated[int | None, typer.Option(min=1, max=ID_MAX, help="Only this affiliate's.")] = None,
    after: Annotated[str, typer.Option(help="Only ids above this one.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=LIST_MAX)] = 50,
    as_json: JsonOption = False,
) -> None:
    """List keys by id, ended ones too; never a secret."""
    now = SystemClock().now()
    keys = run(_list(merchant_id, affiliate_id, after, limit))
    if as_json:
        print_json([_described(key, now) for key in keys])
        return
    print_table(
        ("KEY ID", "ROLE", "OF", "LABEL", "CREATED", "OPENS", "ENDS"),
        [
            (
                key.key_id,
                key.role,
                key.merchant_id or key.affiliate_id,
                key.label,
                _iso(key.created_at),
                "yes" if key.opens_at(now) else "no",
                _iso(key.revoked_at or key.expires_at),
            )
            for key in keys
        ],
    )


@app.command()
def create(
    role: Annotated[KeyRole, typer.Argument(metavar="ROLE", help="admin | merchant | affiliate | finance")],
    merchant_id: MerchantOption = None,
    affiliate_id: AffiliateOption = None,
    label: Annotated[str, typer.Option(help="For people: who uses it, and where.")] = "key",
    as_json: JsonOption = False,
) -> None:
    """Issue a key; the only line on standard output is the key itself, shown this once. Exit 1 when refused."""
    if not (label.isprintable() and 1 <= len(label.strip()) == len(label) <= LABEL_CHARACTERS_MAX):
        raise typer.BadParameter(f"A label is one line of 1 to {LABEL_CHARACTERS_MAX} characters.")
    key, spelling = run(_create(role, merchant_id, affiliate_id, label))
    if as_json:
        print_json(_described(key, key.created_at) | {"key": spelling})
        return
    complain(f"Key {key.key_id} opens from now on. This is the only time it is shown:")
    typer.echo(spelling)


@app.command()
def rotate(key_id: KeyArgument, as_json: JsonOption = False) -> None:
    """Issue a key's successor, shown this once; the old one opens for another 24 hours. Exit 1 when refused."""
    new, spelling, old = run(_rotate(key_id))
    if as_json:
        shown = {"key": spelling, "old_key_expires_at": _iso(old.expires_at)}
        print_json(_described(new, new.created_at) | shown)
        return
    complain(
        f"Key {new.key_id} replaces {old.key_id}, which opens until {_iso(old.expires_at)}.",
        "This is the only time it is shown:",
    )
    typer.echo(spelling)


@app.command()
def revoke(key_id: KeyArgument, yes: YesOption = False) -> None:
    """End a key at once: every gateway refuses it within a second. Exit 1 when there is none, or when you answer no."""
    key = run(_find(key_id))
    if key.revoked_at is None and not yes:
        whose = key.merchant_id or key.affiliate_id
        of = f"{key.role} {whose}" if whose else key.role
        typer.confirm(f"Key {key_id} ({of}, {key.label!r}) opens nothing any more. Go on?", abort=True)
    revoked = run(_revoke(key_id))
    typer.echo(f"Key {key_id} is revoked since {_iso(revoked.revoked_at)}.")


async def _list(merchant_id: int | None, affiliate_id: int | None, after: str, limit: int) -> list[ApiKey]:
    # the role of the door, which may read keys and nothing else
    async with database_as("gateway", "intake") as database, database.transaction() as session:
        found = await list_keys(
            session, merchant_id=merchant_id, affiliate_id=affiliate_id, after_id=after, limit=limit
        )
    return list(found)


async def _find(key_id: str) -> ApiKey:
    async with database_as("gateway", "intake") as database, database.transaction() as session:
        key = await find_key(session, key_id)
    if key is None:
        _refuse(f"There is no key {key_id}.", "`tributary keys list` shows every id.")
    return key


async def _create(role: KeyRole, merchant_id: int | None, affiliate_id: int | None, label: str) -> tuple[ApiKey, str]:
    now = SystemClock().now()
    try:
        async with database_as("gateway", "staff") as database, database.transaction() as session:
            key, spelling = await issue_key(
                session, role=role.value, merchant_id=merchant_id, affiliate_id=affiliate_id, label=label, now=now
            )
            await record_act(session, Author.operator("tributary keys create"), key_issued_act(key), now=now)
            return key, spelling
    except InvalidValue as refusal:
        _refuse(f"Refused: --{refusal.field.replace('_', '-')} {refusal.message}.")
    except CatalogueConflict as refusal:
        _refuse(f"Refused: {refusal.message}.")


async def _rotate(key_id: str) -> tuple[ApiKey, str, ApiKey]:
    now = SystemClock().now()
    try:
        async with database_as("gateway", "staff") as database, database.transaction() as session:
            new, spelling, old = await rotate_key(session, key_id=key_id, now=now)
            await record_act(session, Author.operator("tributary keys rotate"), key_rotated_act(old, new), now=now)
            return new, spelling, old
    except NotInCatalogue:
        _refuse(f"There is no key {key_id}.", "`tributary keys list` shows every id.")
    except CatalogueConflict as refusal:
        _refuse(f"Refused: {refusal.message}.", "Its successor can be rotated.")


async def _revoke(key_id: str) -> ApiKey:
    now = SystemClock().now()
    try:
        async with database_as("gateway", "staff") as database, database.transaction() as session:
            change = await revoke_key(session, key_id=key_id, now=now)
            await record_act(session, Author.operator("tributary keys revoke"), key_revoked_act(change), now=now)
            return change.after
    except NotInCatalogue:
        _refuse(f"There is no key {key_id}.")


def _refuse(what: str, remedy: str = "") -> NoReturn:
    complain(what, remedy)
    raise typer.Exit(EXIT_PROBLEM)


def _described(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "role": key.role,
        "merchant_id": key.merchant_id,
        "affiliate_id": key.affiliate_id,
        "label": key.label,
        "replaces": key.replaces_key_id,
        "created_at": _iso(key.created_at),
        "expires_at": _iso(key.expires_at),
        "revoked_at": _iso(key.revoked_at),
        "opens": key.opens_at(now),
    }


def _iso(instant: datetime | None) -> str | None:
    return None if instant is None else instant.isoformat(timespec="seconds").replace("+00:00", "Z")
