"""`/v1/merchants/{id}/postback-credentials`: how a merchant proves its postbacks."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, Field

from services.conversions.api.conversions import database_for, read_id
from services.conversions.api.desk import Desk, desk_of
from services.conversions.storage.credential_store import CredentialRow, list_credentials
from services.conversions.usecases.manage_credentials import (
    CIDRS_MAX,
    CredentialNotFound,
    Issued,
    issue_credential,
    rotate_credential,
    withdraw_credential,
)
from shared.runtime.http_app import PathId, PlainText, StrictModel, StrictRoute
from shared.runtime.logging import get_logger
from shared.runtime.principal import Principal, require_role, tenant_of
from shared.runtime.problem import Problem, not_found

router = APIRouter(
    prefix="/v1/merchants/{merchant_id}/postback-credentials", route_class=StrictRoute, tags=["merchants"]
)
Keeper = Annotated[Principal, Depends(require_role("admin", "merchant"))]
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


@router.post("", status_code=201)
async def create_credential(
    request: Request, caller: Keeper, merchant_id: PathId, body: CredentialBody
) -> CredentialAnswer:
    """A new signing secret (hmac) or token."""
    desk = _desk(request, caller, merchant_id)
    async with database_for(desk, caller).transaction(tenant=tenant_of(caller)) as session:
        issued = await issue_credential(
            session,
            desk.sealing_keyring,
            merchant_id=merchant_id,
            kind=body.kind,
            name=body.name,
            cidrs=body.cidrs,
            now=desk.clock.now(),
        )
    return await _issued(desk, issued)


@router.get("")
async def get_credentials(request: Request, caller: Keeper, merchant_id: PathId) -> dict[str, list[CredentialAnswer]]:
    """Those valid now, oldest first, without their secrets."""
    desk = _desk(request, caller, merchant_id)
    async with database_for(desk, caller).transaction(tenant=tenant_of(caller)) as session:
        rows = await list_credentials(session, merchant_id, desk.clock.now())
    return {"items": [_answer(row) for row in rows]}


@router.post("/{credential_id}/rotate", status_code=201)
async def rotate(request: Request, caller: Keeper, merchant_id: PathId, credential_id: str) -> CredentialAnswer:
    """A new secret; the old one stays valid for 24 hours."""
    desk, wanted = _desk(request, caller, merchant_id), read_id(credential_id)
    try:
        if wanted is None:
            raise CredentialNotFound("not an id")
        async with database_for(desk, caller).transaction(tenant=tenant_of(caller)) as session:
            issued = await rotate_credential(
                session, desk.sealing_keyring, merchant_id=merchant_id, credential_id=wanted, now=desk.clock.now()
            )
    except CredentialNotFound:
        raise _unknown() from None
    return await _issued(desk, issued)


@router.delete("/{credential_id}", status_code=204)
async def revoke(request: Request, caller: Keeper, merchant_id: PathId, credential_id: str) -> None:
    """Valid no more, at once."""
    desk, wanted = _desk(request, caller, merchant_id), read_id(credential_id)
    try:
        if wanted is None:
            raise CredentialNotFound("not an id")
        async with database_for(desk, caller).transaction(tenant=tenant_of(caller)) as session:
            await withdraw_credential(session, merchant_id=merchant_id, credential_id=wanted, now=desk.clock.now())
    except CredentialNotFound:
        raise _unknown() from None
    await _refresh(desk)


def _desk(request: Request, caller: Principal, merchant_id: int) -> Desk:
    if caller.merchant_id is not None and caller.merchant_id != merchant_id:
        raise not_found("merchant_not_found", "There is no such merchant.")
    return desk_of(request)


def _unknown() -> Problem:
    return not_found("credential_not_found", "There is no such credential.")


async def _issued(desk: Desk, issued: Issued) -> CredentialAnswer:
    await _refresh(desk)
    return _answer(issued.row).model_copy(update={"secret": issued.secret})


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
