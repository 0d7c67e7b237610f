"""`GET /v1/audit/{service}`: each service's own chain, for admins."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from shared.runtime.audit import Outcome, Role
from shared.runtime.audit_reader import ChainedEntry, EntryFilter, list_entries
from shared.runtime.database import Database
from shared.runtime.http_app import PlainText, QueryId, QueryInstant, StrictRoute
from shared.runtime.pagination import (
    LIMIT_DEFAULT,
    Page,
    PageCursor,
    PageLimit,
    cursor_integer,
    decode_cursor,
    page_of,
)
from shared.runtime.principal import Principal, require_role

Admin = Annotated[Principal, Depends(require_role("admin"))]
Text = Annotated[str | None, PlainText(200)]


class AuditEntryAnswer(BaseModel):
    """One entry at its place in the chain. Hashes in hexadecimal. code: null for done."""

    number: int
    occurred_at: datetime
    role: Role
    key_id: str | None
    merchant_id: int | None
    affiliate_id: int | None
    action: str
    object_type: str
    object_id: str | None
    before_hash: str | None
    after_hash: str | None
    request_id: str
    outcome: Literal["done", "denied"]
    code: str | None
    occurrences: int
    previous_hash: str
    hash: str

    @classmethod
    def of(cls, found: ChainedEntry) -> "AuditEntryAnswer":
        """`found` as the API shows it."""
        entry = found.entry
        return cls(
            number=found.number,
            occurred_at=entry.occurred_at,
            role=entry.role,
            key_id=entry.key_id,
            merchant_id=entry.merchant_id,
            affiliate_id=entry.affiliate_id,
            action=entry.action,
            object_type=entry.object_type,
            object_id=entry.object_id,
            before_hash=None if entry.before_hash is None else entry.before_hash.hex(),
            after_hash=None if entry.after_hash is None else entry.after_hash.hex(),
            request_id=entry.request_id,
            outcome=entry.outcome,
            code=entry.code,
            occurrences=entry.occurrences,
            previous_hash=found.previous_hash.hex(),
            hash=found.hash.hex(),
        )


def audit_router(service: str, staff: Database) -> APIRouter:
    """The route of one service, on its database as a role that reads the chain."""
    router = APIRouter(prefix="/v1/audit", route_class=StrictRoute, tags=["audit"])

    @router.get(f"/{service}", operation_id=f"get_{service}_audit")
    async def get_audit(
        caller: Admin,
        limit: PageLimit = LIMIT_DEFAULT,
        cursor: PageCursor = None,
        role: Role | None = None,
        key_id: Text = None,
        merchant_id: QueryId | None = None,
        affiliate_id: QueryId | None = None,
        action: Text = None,
        object_type: Text = None,
        object_id: Text = None,
        request_id: Text = None,
        outcome: Outcome | None = None,
        from_at: Annotated[QueryInstant | None, Query(alias="from")] = None,
        to_at: Annotated[QueryInstant | None, Query(alias="to")] = None,
    ) -> Page[AuditEntryAnswer]:
        """Every privileged write and denial of one service, newest first. merchant_id, affiliate_id: the actor's."""
        del caller  # an admin
        wanted = EntryFilter(
            role=role,
            key_id=key_id,
            merchant_id=merchant_id,
            affiliate_id=affiliate_id,
            action=action,
            object_type=object_type,
            object_id=object_id,
            request_id=request_id,
            outcome=outcome,
            from_at=from_at,
            to_at=to_at,
            before=None if cursor is None else cursor_integer(decode_cursor(cursor, keys=("number",)), "number"),
        )
        async with staff.transaction() as session:
            rows = await list_entries(session, wanted, limit=limit + 1)
        shown, next_cursor = page_of(rows, limit, lambda found: {"number": found.number})
        return Page(items=[AuditEntryAnswer.of(found) for found in shown], next_cursor=next_cursor)

    return router
