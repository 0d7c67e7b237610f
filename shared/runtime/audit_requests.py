"""A request in the words of the audit chain: who is at it, and what a refusal was.

    await record_act(session, author_of(request, caller), act, now=now)

Whoever decides records: the gateway what it refuses at its door, each service what its own routes do and refuse.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from starlette.requests import Request

from shared.runtime.audit import AuditEntry, Author
from shared.runtime.http_observer import request_id_of, route_template
from shared.runtime.principal import PRINCIPAL_HEADER, Principal
from shared.runtime.problem import Problem

_TYPES: Final[Mapping[str, str]] = {"ref": "conversion", "credential_id": "postback_credential"}
"""Path parameters that do not say by themselves what they are ids of; the others are `{type}_id`."""

_ID = re.compile(r"[1-9][0-9]{0,9}|[A-Z]{2}-[0-9]{6,9}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_KEY_ID = re.compile(r"[a-z0-9]{8}", re.ASCII)

_NAMES_ANOTHER_PARTY: Final = frozenset({"party_not_found", "merchant_not_found"})
"""A tenant that names another party is refused for that, whether there is such a party or not."""

_SENT_AGAIN: Final = frozenset({"idempotency_in_progress", "idempotent_response_unavailable"})
"""Conflicts of a request with itself: its first sending has the entry."""


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal to be entered. only_if_foreign: only if the object exists, which is then another tenant's."""

    entry: AuditEntry
    only_if_foreign: bool = field(default=False)


def author_of(request: Request, caller: Principal) -> Author:
    """`caller` at the route of `request`."""
    return Author(
        role=caller.role,
        key_id=caller.key_id,
        merchant_id=caller.merchant_id,
        affiliate_id=caller.affiliate_id,
        action=action_of(request.method, route_template(request.scope)),
        request_id=caller.request_id,
    )


def action_of(method: str, template: str) -> str:
    """How an entry names a route: as the route table does."""
    return f"{method} {template}"


def denial_of(request: Request, problem: Problem, *, now: datetime) -> Denial | None:
    """The denial that `problem` is, or None for a mistake, an outage or a limit (ADR 0007 has the table)."""
    caller: Principal | None = getattr(request.state, "principal", None)
    if caller is None:
        is_presented = problem.status == 401 and PRINCIPAL_HEADER in request.headers
        return Denial(_entry(request, None, problem.code, now, "principal", None)) if is_presented else None
    object_type, object_id = object_named(route_template(request.scope), request.path_params)
    is_tenant = caller.role in ("merchant", "affiliate")
    if problem.status == 404 and is_tenant and problem.code in _NAMES_ANOTHER_PARTY:
        object_type, object_id = _party_named(request, object_type, object_id)
        return Denial(_entry(request, caller, problem.code, now, object_type, object_id))
    if problem.status == 404 and is_tenant and object_id is not None:
        entry = _entry(request, caller, problem.code, now, object_type, object_id)
        return Denial(entry, only_if_foreign=True)
    is_refused_write = problem.status == 409 and request.method != "GET" and problem.code not in _SENT_AGAIN
    if problem.status == 403 or is_refused_write:
        return Denial(_entry(request, caller, problem.code, now, object_type, object_id))
    return None


def _entry(
    request: Request, caller: Principal | None, code: str, now: datetime, object_type: str, object_id: str | None
) -> AuditEntry:
    return AuditEntry(
        occurred_at=now,
        role="nobody" if caller is None else caller.role,
        key_id=None if caller is None else caller.key_id,
        merchant_id=None if caller is None else caller.merchant_id,
        affiliate_id=None if caller is None else caller.affiliate_id,
        action=action_of(request.method, route_template(request.scope)),
        object_type=object_type,
        object_id=object_id,
        request_id=request_id_of(request.scope),
        outcome="denied",
        code=code,
    )


def object_named(template: str, parameters: Mapping[str, Any]) -> tuple[str, str | None]:
    """Type and id of what a path is about: its last parameter, else its last word without an id.

    An id is given only where it has an id's form: anything else a caller wrote there may be somebody's words.
    """
    segments = template.split("/")
    named = [segment[1:-1] for segment in segments if segment.startswith("{") and segment.endswith("_id}")]
    named += [segment[1:-1] for segment in segments if segment == "{ref}"]
    if not named:
        return segments[-1].removesuffix("s").replace("-", "_") or "page", None
    object_type = _TYPES.get(named[-1], named[-1].removesuffix("_id"))
    return object_type, safe_object_id(object_type, str(parameters.get(named[-1], "")))


def safe_object_id(object_type: str, text: str) -> str | None:
    """`text` if it has the form of such an object's id."""
    pattern = _KEY_ID if object_type == "key" else _ID
    return text if pattern.fullmatch(text) else None


def _party_named(request: Request, object_type: str, object_id: str | None) -> tuple[str, str | None]:
    if "merchant_id" in request.path_params:
        return "merchant", safe_object_id("merchant", str(request.path_params["merchant_id"]))
    for parameter in ("merchant_id", "affiliate_id"):
        if asked := safe_object_id(parameter, request.query_params.get(parameter, "")):
            return parameter.removesuffix("_id"), asked
    return object_type, object_id
