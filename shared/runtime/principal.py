"""Who is asking: the gateway verifies an API key once and hands a short-lived signed principal inward.

Services believe this token and no other header. Its life is counted in real time, never by TRIBUTARY_CLOCK: two
processes read a settable clock at different moments, and a jump between signing and verifying must lock nobody out.
"""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal, TypeGuard

import jwt
import structlog
from starlette.requests import Request

from shared.runtime.database import Tenant
from shared.runtime.keyring import Keyring
from shared.runtime.logging import get_logger
from shared.runtime.problem import Problem, not_found, role_not_allowed, unauthenticated
from shared.runtime.strict_route import runs_first

PRINCIPAL_HEADER: Final = "Tributary-Principal"
PRINCIPAL_LIFE_SECONDS: Final = 60
CLOCK_SKEW_SECONDS: Final = 5
"""How far the gateway's clock may run ahead of ours."""

TOKEN_CHARACTERS_MAX: Final = 2_048
ISSUER: Final = "gateway"
Role = Literal["admin", "merchant", "affiliate", "finance"]
ROLES: Final[tuple[Role, ...]] = ("admin", "merchant", "affiliate", "finance")

_log = get_logger(__name__)
_ALGORITHM: Final = "HS256"
_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_KEY_ID = re.compile(r"[0-9]{1,3}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of one request.

    merchant_id: set for role merchant only. affiliate_id: set for role affiliate only. client_address: the shopper's
    or merchant's own address, as the gateway saw it.
    """

    role: Role
    key_id: str
    merchant_id: int | None
    affiliate_id: int | None
    client_address: str
    request_id: str


class PrincipalSigner:
    """Makes principal tokens. The gateway's alone."""

    def __init__(self, keyring: Keyring) -> None:
        self._keyring = keyring

    def sign(self, principal: Principal, *, audience: str, now: datetime) -> str:
        """A token for one service (`audience`: clicks, conversions, commissions), good for 60 s from `now`."""
        key = self._keyring.signing
        issued_at = int(now.timestamp())
        claims = {
            "iss": ISSUER,
            "aud": audience,
            "iat": issued_at,
            "exp": issued_at + PRINCIPAL_LIFE_SECONDS,
            "role": principal.role,
            "key_id": principal.key_id,
            "merchant_id": principal.merchant_id,
            "affiliate_id": principal.affiliate_id,
            "client_address": principal.client_address,
            "request_id": principal.request_id,
        }
        return jwt.encode(claims, key.secret, algorithm=_ALGORITHM, headers={"kid": str(key.id)})


class PrincipalVerifier:
    """Reads principal tokens made for one service."""

    def __init__(self, keyring: Keyring, audience: str) -> None:
        self._keyring = keyring
        self._audience = audience

    def verify(self, token: str, now: datetime) -> Principal:
        """The principal in `token`. Raises Problem 401, the same for every fault; the log has the reason."""
        try:
            return _principal_of(self._claims(token, now))
        except (jwt.PyJWTError, ValueError, TypeError, KeyError) as fault:
            _log.warning("principal_refused", reason=type(fault).__name__)
            raise _unauthenticated() from None

    def _claims(self, token: str, now: datetime) -> dict[str, Any]:
        if len(token) > TOKEN_CHARACTERS_MAX:
            raise ValueError("token too long")
        key_id = jwt.get_unverified_header(token).get("kid")
        if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
            raise ValueError("no kid")
        key = self._keyring.find(int(key_id), now)
        if key is None:
            raise ValueError("unknown kid")
        claims: dict[str, Any] = jwt.decode(
            token,
            key.secret,
            algorithms=[_ALGORITHM],
            audience=self._audience,
            issuer=ISSUER,
            # The times are judged below, against `now` and not against PyJWT's own clock.
            options={
                "require": ["exp", "iat", "aud", "iss"],
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "strict_aud": True,
            },
        )
        expires_at, issued_at, instant = claims["exp"], claims["iat"], now.timestamp()
        if type(expires_at) is not int or type(issued_at) is not int:
            raise ValueError("times are whole seconds")
        if not issued_at - CLOCK_SKEW_SECONDS <= instant < expires_at:
            raise ValueError("expired, or from the future")
        if expires_at - issued_at > PRINCIPAL_LIFE_SECONDS:
            raise ValueError("lives too long")
        return claims


def _principal_of(claims: dict[str, Any]) -> Principal:
    role, key_id, address, request_id = (claims[n] for n in ("role", "key_id", "client_address", "request_id"))
    merchant_id, affiliate_id = claims["merchant_id"], claims["affiliate_id"]
    if role not in ROLES or not all(isinstance(text, str) for text in (key_id, address, request_id)):
        raise ValueError("claims of the wrong type")
    if not _REQUEST_ID.fullmatch(request_id):
        raise ValueError("not a request id")
    if not (_is_id_or_none(merchant_id) and _is_id_or_none(affiliate_id)):
        raise ValueError("not an id")
    if (role == "merchant") != (merchant_id is not None) or (role == "affiliate") != (affiliate_id is not None):
        raise ValueError("role and tenant do not fit")
    return Principal(role, key_id, merchant_id, affiliate_id, address, request_id)


def _is_id_or_none(value: object) -> TypeGuard[int | None]:
    return value is None or (type(value) is int and 1 <= value < 2**31)


def _unauthenticated() -> Problem:
    return unauthenticated(detail="The request carries no valid principal.")


def principal_of(request: Request) -> Principal:
    """The verified principal of a request, by `app.state.principal_verifier`. Raises Problem 401.

    Takes the request id from it, so that one id follows the request through every service's log.
    """
    known: Principal | None = getattr(request.state, "principal", None)
    if known is not None:
        return known
    presented = request.headers.getlist(PRINCIPAL_HEADER)
    if len(presented) != 1:
        raise _unauthenticated()
    verifier: PrincipalVerifier = request.app.state.principal_verifier
    principal = verifier.verify(presented[0], datetime.now(UTC))
    request.state.principal = principal
    request.state.request_id = principal.request_id
    structlog.contextvars.bind_contextvars(
        request_id=principal.request_id, role=principal.role, key_id=principal.key_id
    )
    return principal


def require_role(*roles: Role) -> Callable[[Request], Awaitable[Principal]]:
    """A FastAPI dependency that gives the Principal if its role is one of `roles`.

    `principal: Annotated[Principal, Depends(require_role("admin", "finance"))]`. 401 without a good principal,
    403 `role_not_allowed` with another role.
    """
    if not roles:
        raise ValueError("name the roles that may")

    async def dependency(request: Request) -> Principal:
        principal = principal_of(request)
        if principal.role not in roles:
            raise role_not_allowed()
        return principal

    return runs_first(dependency)


def tenant_of(principal: Principal) -> Tenant | None:
    """The tenant whose rows the caller may see; None for admin and finance, who are no tenant."""
    if principal.role in ("admin", "finance"):
        return None
    return Tenant(merchant_id=principal.merchant_id, affiliate_id=principal.affiliate_id)


def own_or_asked(own: int | None, asked: int | None) -> int | None:
    """Whose rows a list shows: the tenant's `own`, or whomever staff asks for; None for everybody's.

    Raises Problem 404 for a tenant that asks for another, whether there is such a one or not.
    """
    if own is None:
        return asked
    if asked not in (None, own):
        raise not_found("party_not_found", "There is no such party.")
    return own
