"""`/v1/merchants/{id}/postback-credentials`: how a merchant proves its postbacks."""

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from services.conversions.api.conversions import database_for, read_id
from services.conversions.api.desk import Desk, desk_of
from services.conversions.api.perform_once import Done, Effect, perform_once
from services.conversions.storage.credential_store import CredentialRow, list_credentials
from services.conversions.usecases.manage_credentials import (
    CIDRS_MAX,
    CredentialNotFound,
    Issued,
    issue_credential,
    rotate_credential,
    withdraw_credential,
)
from shared.runtime.audit import Act
from shared.runtime.database import Session
from shared.runtime.http_app import PathId, PlainText, StrictModel, StrictRoute
from shared.runtime.idempotency_key import idempotency_key
from shared.runtime.logging import get_logger
from shared.runtime.principal import Principal, require_role, tenant_of
from shared.runtime.problem import Problem, not_found

router = APIRouter(
    prefix="/v1/merchants/{merchant_id}/postback-credentials", route_class=StrictRoute, tags=["merchants"]
)
Keeper = Annotated[Principal, Depends(require_role("admin", "merchant"))]
Key = Annotated[str | None, Depends(idempotency_key)]
ARRIVAL_SECONDS: Final = 8.0
"""How long a merchant made a moment ago may be on its way to us; less than the gateway's deadline."""

ARRIVAL_POLL_SECONDS: Final = 0.05
_log = get_logger(__name__)


class CredentialBody(StrictModel):
    """cidrs: networks it may be used from; empty for any. name: for people."""

    kind: Literal["hmac", "token"]
    name: Annotated[str, PlainText(80)] = "postbacks"
    cidrs: Annotated[list[str], Field(max_length=CIDRS_MAX, default_factory=list)]


class CredentialAnswer(BaseModel):
    """secret: the signing secret or the token, shown once, null ever after. valid_until: end of a rotated one."""

    id: str
    merchant_id: int
    kind: str
    name: str
    cidrs: list[str]
    created_at: datetime
    valid_until: datetime | None
    replaces_id: str | None
    secret: str | None = None


class CredentialListAnswer(BaseModel):
    """The credentials that are valid now, oldest first."""

    items: list[CredentialAnswer]


@router.post("", status_code=201, response_model=CredentialAnswer)
async def create_credential(
    request: Request, caller: Keeper, merchant_id: PathId, body: CredentialBody, key: Key = None
) -> Response:
    """Issue a signing secret (hmac) or a token. The answer shows it, once. 404 for an unknown merchant."""
    desk = _desk(request, caller, merchant_id)
    if caller.merchant_id is None:
        await _require_merchant(desk, merchant_id)

    async def issue(session: Session) -> tuple[Issued, Act]:
        return await issue_credential(
            session,
            desk.sealing_keyring,
            merchant_id=merchant_id,
            kind=body.kind,
            name=body.name,
            cidrs=body.cidrs,
            now=desk.clock.now(),
        )

    return await _issue_once(request, caller, key, body, issue)


@router.get("")
async def get_credentials(request: Request, caller: Keeper, merchant_id: PathId) -> CredentialListAnswer:
    """The credentials that are valid now, oldest first, without their secrets."""
    desk = _desk(request, caller, merchant_id)
    async with database_for(desk, caller).transaction(tenant=tenant_of(caller)) as session:
        rows = await list_credentials(session, merchant_id, desk.clock.now())
    if not rows and caller.merchant_id is None and not desk.catalogue.knows_merchant(merchant_id):
        raise _no_merchant()
    return CredentialListAnswer(items=[_answer(row) for row in rows])


@router.post("/{credential_id}/rotate", status_code=201, response_model=CredentialAnswer)
async def rotate(
    request: Request, caller: Keeper, merchant_id: PathId, credential_id: str, key: Key = None
) -> Response:
    """Rotate a credential. The answer shows the new secret; the old one stays valid for 24 hours."""
    desk, wanted = _desk(request, caller, merchant_id), _credential_id(credential_id)

    async def issue(session: Session) -> tuple[Issued, Act]:
        return await rotate_credential(
            session, desk.sealing_keyring, merchant_id=merchant_id, credential_id=wanted, now=desk.clock.now()
        )

    return await _issue_once(request, caller, key, None, issue)


@router.delete("/{credential_id}", status_code=204)
async def revoke(
    request: Request, caller: Keeper, merchant_id: PathId, credential_id: str, key: Key = None
) -> Response:
    """Revoke a credential at once."""
    desk, wanted = _desk(request, caller, merchant_id), _credential_id(credential_id)

    async def withdraw(session: Session) -> Done:
        act = await withdraw_credential(session, merchant_id=merchant_id, credential_id=wanted, now=desk.clock.now())
        return Done(b"", act)

    return await _once(request, caller, key, None, withdraw, status=204)


def _desk(request: Request, caller: Principal, merchant_id: int) -> Desk:
    if caller.merchant_id is not None and caller.merchant_id != merchant_id:
        raise _no_merchant()
    return desk_of(request)


async def _require_merchant(desk: Desk, merchant_id: int) -> None:
    """Return once the catalogue has told of the merchant. Raises Problem 404 when it does not within a while."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while not desk.catalogue.knows_merchant(merchant_id):
        if time.monotonic() >= deadline:
            raise _no_merchant()
        await asyncio.sleep(ARRIVAL_POLL_SECONDS)


def _no_merchant() -> Problem:
    return not_found("merchant_not_found", "There is no such merchant.")


def _credential_id(text: str) -> UUID:
    wanted = read_id(text)
    if wanted is None:
        raise _unknown()
    return wanted


def _unknown() -> Problem:
    return not_found("credential_not_found", "There is no such credential.")


async def _issue_once(
    request: Request,
    caller: Principal,
    key: str | None,
    body: CredentialBody | None,
    issue: Callable[[Session], Awaitable[tuple[Issued, Act]]],
) -> Response:
    async def effect(session: Session) -> Done:
        issued, act = await issue(session)
        answer = _answer(issued.row).model_copy(update={"secret": issued.secret})
        return Done(answer.model_dump_json().encode("utf-8"), act)

    return await _once(request, caller, key, body, effect, status=201, holds_secret=True)


async def _once(
    request: Request,
    caller: Principal,
    key: str | None,
    body: CredentialBody | None,
    effect: Effect,
    *,
    status: int,
    holds_secret: bool = False,
) -> Response:
    desk = desk_of(request)
    asked = [request.method, request.url.path, None if body is None else body.model_dump(mode="json")]
    try:
        response = await perform_once(
            request,
            caller,
            key,
            effect,
            asked_hash=hashlib.sha256(orjson.dumps(asked)).digest(),
            status=status,
            holds_secret=holds_secret,
        )
    except CredentialNotFound:
        raise _unknown() from None
    await _refresh(desk)
    return response


async def _refresh(desk: Desk) -> None:
    """This process knows at once, the others within a second; if it fails here, so does this one."""
    try:
        await desk.book.refresh()
    except Exception as fault:
        _log.warning("credential_refresh_failed", error=type(fault).__name__)


def _answer(row: CredentialRow) -> CredentialAnswer:
    return CredentialAnswer(
        id=str(row.id),
        merchant_id=row.merchant_id,
        kind=row.kind,
        name=row.name,
        cidrs=list(row.cidrs),
        created_at=row.created_at,
        valid_until=row.valid_until,
        replaces_id=None if row.replaces_id is None else str(row.replaces_id),
    )
