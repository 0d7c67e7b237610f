"""`/v1/keys` and `/v1/me`. A key's full spelling is in the answer that issues it, and nowhere else."""

import re
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Request, Response
from pydantic import BaseModel

from services.gateway.api.callers import Admin, Anyone, Wired
from services.gateway.api.idempotency import Done, perform_once
from services.gateway.domain.api_keys import ApiKey
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.key_store import find_key, list_keys
from services.gateway.usecases.audited import key_issued_act, key_revoked_act, key_rotated_act
from services.gateway.usecases.issue_key import issue_key
from services.gateway.usecases.revoke_key import revoke_key
from services.gateway.usecases.rotate_key import rotate_key
from shared.runtime.database import Session
from shared.runtime.http_app import PlainText, QueryId, StrictModel, StrictRoute, WireId
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_text,
    decode_cursor,
    page_of,
)

keys_router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["keys"])

KEY_ID_PATTERN = r"^[a-z0-9]{8}$"
KeyId = Annotated[str, Path(pattern=KEY_ID_PATTERN)]


class KeyBody(StrictModel):
    """A key to issue. merchant_id with role merchant, affiliate_id with role affiliate, neither otherwise."""

    role: Literal["admin", "merchant", "affiliate", "finance"]
    merchant_id: WireId | None = None
    affiliate_id: WireId | None = None
    label: Annotated[str, PlainText(80)] = "key"


class KeyAnswer(BaseModel):
    """A key without its secret."""

    id: str
    role: str
    merchant_id: int | None
    affiliate_id: int | None
    label: str
    replaces: str | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> "KeyAnswer":
        """`key` as the API shows it."""
        return cls(**_fields(key))


class IssuedKeyAnswer(KeyAnswer):
    """A new key. key: the full spelling, shown this once."""

    key: str

    @classmethod
    def with_spelling(cls, key: ApiKey, spelling: str) -> "IssuedKeyAnswer":
        """`key` with its full spelling."""
        return cls(key=spelling, **_fields(key))


class RotatedKeyAnswer(IssuedKeyAnswer):
    """The key that replaces another. old_key_expires_at: until when the other still opens."""

    old_key_expires_at: datetime


class CallerAnswer(BaseModel):
    """Who the presented key speaks for."""

    role: str
    key_id: str
    merchant_id: int | None
    affiliate_id: int | None


@keys_router.get("/me")
async def get_me(caller: Anyone) -> CallerAnswer:
    """Whom the presented key speaks for."""
    return CallerAnswer(
        role=caller.role, key_id=caller.key_id, merchant_id=caller.merchant_id, affiliate_id=caller.affiliate_id
    )


@keys_router.post("/keys", status_code=201, response_model=IssuedKeyAnswer)
async def post_key(body: KeyBody, request: Request, caller: Admin, wired: Wired) -> Response:
    """Issue a key. Its full spelling is in this answer, and nowhere else."""

    async def effect(session: Session) -> Done:
        key, spelling = await issue_key(
            session,
            role=body.role,
            merchant_id=body.merchant_id,
            affiliate_id=body.affiliate_id,
            label=body.label,
            now=wired.clock.now(),
        )
        return Done(IssuedKeyAnswer.with_spelling(key, spelling), key_issued_act(key))

    return await perform_once(request, caller, effect, status=201, holds_secret=True)


@keys_router.get("/keys")
async def get_keys(
    caller: Admin,
    wired: Wired,
    merchant_id: QueryId | None = None,
    affiliate_id: QueryId | None = None,
    limit: PageLimit = LIMIT_DEFAULT,
    cursor: PageCursor = None,
) -> Page[KeyAnswer]:
    """Every key by id, without secrets."""
    after = "" if cursor is None else cursor_text(decode_cursor(cursor, keys=["id"]), "id")
    if after and not re.match(KEY_ID_PATTERN, after):
        after = ""
    async with wired.transaction_for(caller) as session:
        keys = await list_keys(
            session, merchant_id=merchant_id, affiliate_id=affiliate_id, after_id=after, limit=limit + 1
        )
    shown, following = page_of(keys, limit, lambda key: {"id": key.key_id})
    return Page(items=[KeyAnswer.of(key) for key in shown], next_cursor=following)


@keys_router.get("/keys/{key_id}")
async def get_key(key_id: KeyId, caller: Admin, wired: Wired) -> KeyAnswer:
    """One key, without its secret."""
    async with wired.transaction_for(caller) as session:
        key = await find_key(session, key_id)
    if key is None:
        raise NotInCatalogue("key")
    return KeyAnswer.of(key)


@keys_router.post("/keys/{key_id}/rotate", status_code=201, response_model=RotatedKeyAnswer)
async def post_rotation(key_id: KeyId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Rotate a key. The answer shows its successor; the old one opens for another 24 hours."""

    async def effect(session: Session) -> Done:
        new, spelling, old = await rotate_key(session, key_id=key_id, now=wired.clock.now())
        assert old.expires_at is not None
        answer = RotatedKeyAnswer(key=spelling, old_key_expires_at=old.expires_at, **_fields(new))
        return Done(answer, key_rotated_act(old, new))

    try:
        return await perform_once(request, caller, effect, status=201, holds_secret=True)
    finally:
        wired.key_desk.forget(key_id)


@keys_router.delete("/keys/{key_id}", response_model=KeyAnswer)
async def delete_key(key_id: KeyId, request: Request, caller: Admin, wired: Wired) -> Response:
    """Revoke a key at once."""

    async def effect(session: Session) -> Done:
        change = await revoke_key(session, key_id=key_id, now=wired.clock.now())
        return Done(KeyAnswer.of(change.after), key_revoked_act(change))

    try:
        return await perform_once(request, caller, effect)
    finally:
        wired.key_desk.forget(key_id)


def _fields(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.key_id,
        "role": key.role,
        "merchant_id": key.merchant_id,
        "affiliate_id": key.affiliate_id,
        "label": key.label,
        "replaces": key.replaces_key_id,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
