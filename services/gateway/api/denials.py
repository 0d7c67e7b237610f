"""What the door refuses, as entries of the gateway's audit chain, and whether a thing exists that a tenant missed."""

from datetime import datetime

from starlette.types import Scope

from services.gateway.domain.api_keys import ApiKey, key_id_of
from services.gateway.domain.routes import Route
from services.gateway.storage.enrolment_store import find_enrolment
from services.gateway.storage.offer_store import find_offer
from shared.runtime.audit import AuditEntry
from shared.runtime.audit_requests import Denial, action_of, object_named
from shared.runtime.database import Session
from shared.runtime.http_observer import request_id_of
from shared.runtime.problem import role_not_allowed, unauthenticated


def refused_key(scope: Scope, route: Route, spelling: str, *, now: datetime) -> Denial:
    """Somebody presented a key that opens nothing. The object is the key it claims to be, if it has a key's form."""
    entry = AuditEntry(
        occurred_at=now,
        role="nobody",
        key_id=None,
        merchant_id=None,
        affiliate_id=None,
        action=action_of(route.method, route.template),
        object_type="key",
        object_id=key_id_of(spelling),
        request_id=request_id_of(scope),
        outcome="denied",
        code=unauthenticated().code,
    )
    return Denial(entry)


def refused_role(scope: Scope, route: Route, key: ApiKey, *, now: datetime) -> Denial:
    """A good key asked for what its role may not do."""
    object_type, object_id = object_named(route.template, _parameters(scope["raw_path"], route.template))
    entry = AuditEntry(
        occurred_at=now,
        role=key.role,
        key_id=key.key_id,
        merchant_id=key.merchant_id,
        affiliate_id=key.affiliate_id,
        action=action_of(route.method, route.template),
        object_type=object_type,
        object_id=object_id,
        request_id=request_id_of(scope),
        outcome="denied",
        code=role_not_allowed().code,
    )
    return Denial(entry)


async def exists(session: Session, object_type: str, object_id: str) -> bool:
    """Is there such an offer or enrolment, whoever's it is? Other things no tenant is sent 404 for."""
    if object_type == "offer":
        return await find_offer(session, int(object_id)) is not None
    if object_type == "enrolment":
        return await find_enrolment(session, int(object_id)) is not None
    return False


def _parameters(raw_path: bytes, template: str) -> dict[str, str]:
    segments = zip(template.split("/"), raw_path.decode("ascii", "replace").split("/"), strict=True)
    return {name[1:-1]: value for name, value in segments if name.startswith("{")}
