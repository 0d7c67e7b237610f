"""Writes that may be sent again: with `Idempotency-Key` the answer is kept with the effect, and given again.

Refusals are not kept. An answer that showed a secret is not kept either, only that it was given. The write's audit
entry commits with it; an answer that is given again writes none.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import Request, Response

from services.conversions.api.conversions import database_for
from services.conversions.api.desk import desk_of
from services.conversions.storage.idempotency_store import KeptAnswer, find_kept_answer, keep_answer, try_lock_key
from shared.runtime.audit import Act, record_act
from shared.runtime.audit_requests import author_of
from shared.runtime.database import Session
from shared.runtime.idempotency_key import REPLAYED_HEADER, in_progress, key_reused
from shared.runtime.principal import Principal, tenant_of
from shared.runtime.problem import conflict


@dataclass(frozen=True, slots=True)
class Done:
    """What an effect did: the JSON it answers, b"" for none, and its act for the audit chain."""

    answer: bytes
    act: Act


Effect = Callable[[Session], Awaitable[Done]]
_NOTHING = b""
"""Kept in place of an answer that showed a secret; an answer without a body is the same and needs no more."""


async def perform_once(
    request: Request,
    caller: Principal,
    key: str | None,
    effect: Effect,
    *,
    asked_hash: bytes,
    status: int = 200,
    holds_secret: bool = False,
) -> Response:
    """Run `effect` in the caller's transaction and answer with the JSON it gives, once per idempotency key.

    asked_hash: SHA-256 of what is asked; another one under the same key is 422. Keys are apart per party, not per API
    key: a retry after a rotation is still a retry.
    """
    desk = desk_of(request)
    owner = f"merchant:{caller.merchant_id}" if caller.merchant_id is not None else "admin"
    async with database_for(desk, caller).transaction(tenant=tenant_of(caller)) as session:
        kept = None if key is None else await _find_kept(session, owner, key, asked_hash)
        if kept is not None:
            return _replay(kept)
        done, now = await effect(session), desk.clock.now()
        if key is not None:
            stored = _NOTHING if holds_secret else done.answer
            await keep_answer(session, KeptAnswer(owner, key, caller.merchant_id, asked_hash, status, stored, now))
        await record_act(session, author_of(request, caller), done.act, now=now)
    response = _response(done.answer, status)
    if holds_secret:
        response.headers["Cache-Control"] = "no-store"
    return response


async def _find_kept(session: Session, owner: str, key: str, asked_hash: bytes) -> KeptAnswer | None:
    if not await try_lock_key(session, owner=owner, key=key):
        raise in_progress()
    kept = await find_kept_answer(session, owner=owner, key=key)
    if kept is not None and bytes(kept.request_hash) != asked_hash:
        raise key_reused()
    return kept


def _replay(kept: KeptAnswer) -> Response:
    if kept.answer == _NOTHING and kept.http_status != 204:
        raise conflict(
            "idempotent_response_unavailable",
            "This was done already, and its secret is shown only once. Revoke the credential and issue another if it"
            " is lost.",
        )
    response = _response(kept.answer, kept.http_status)
    response.headers[REPLAYED_HEADER] = "true"
    return response


def _response(answer: bytes, status: int) -> Response:
    return Response(answer, status, media_type="application/json" if answer else None)
