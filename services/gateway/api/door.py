"""The public door: every request meets the route table, its limits and its key here, before anything is read of it.

plain ASGI ─▶ route ─▶ caller ─▶ limits ─▶ our own routes (in process) or a service (proxied), both told by a signed
principal who asks. Nothing a client sends can pose as that principal: such headers end here.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import KW_ONLY, dataclass
from datetime import UTC, datetime
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.gateway.api.denials import refused_key, refused_role
from services.gateway.api.key_desk import KeyDesk
from services.gateway.api.limits import Limits, impatience
from services.gateway.clients.upstreams import Upstreams
from services.gateway.domain.api_keys import KEY_CHARACTERS_MAX, ApiKey
from services.gateway.domain.client_address import TrustedProxies, is_private_peer
from services.gateway.domain.routes import MethodNotAllowed, Route, RouteNotFound, RouteTable
from services.gateway.storage.outage import is_outage
from shared.runtime.audit_denials import DenialLog
from shared.runtime.http_observer import request_id_of
from shared.runtime.principal import PRINCIPAL_HEADER, Principal, PrincipalSigner
from shared.runtime.problem import (
    Headers,
    Problem,
    body_too_large,
    method_not_allowed,
    not_found,
    role_not_allowed,
    unauthenticated,
    unavailable,
    upstream_timeout,
)
from shared.runtime.tracing import SPAN_HEADER, sends_spans

LOCAL: Final = "gateway"
_NOT_PASSED_ON: Final = frozenset(
    {b"authorization", b"x-api-key", b"forwarded", b"x-request-id", b"x-real-ip", PRINCIPAL_HEADER.lower().encode()}
)


@dataclass(frozen=True, slots=True)
class Door:
    """An ASGI middleware. local: the rest of the gateway's own application, which it is built around."""

    local: ASGIApp
    _: KW_ONLY
    table: RouteTable
    key_desk: KeyDesk
    limits: Limits
    proxies: TrustedProxies
    signer: PrincipalSigner
    upstreams: Upstreams
    denials: DenialLog

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Raises Problem for what is refused: the observer around it answers."""
        if scope["type"] != "http":
            await self.local(scope, receive, send)
            return
        route = self._route_of(scope)
        headers: list[tuple[bytes, bytes]] = scope["headers"]
        client_address = self._client_of(scope, headers)
        if route.template == "/metrics":
            _require_inside(scope, headers)
        key = None if route.is_anonymous else await self._caller_of(scope, client_address, route)
        told = await self.limits.meter(route, key_id=key.key_id if key else None, client_address=client_address)
        if key is not None:
            self._require_role(scope, route, key)
        _check_declared_length(headers, route.body_max_bytes)
        answer = _with_headers(send, told) if told else send
        if route.owner == LOCAL:
            await self._serve_here(scope, receive, answer, route, key, client_address)
        else:
            await self._pass_on(scope, receive, answer, route, key, client_address)

    def _route_of(self, scope: Scope) -> Route:
        try:
            route = self.table.find(scope["method"], scope["raw_path"])
        except RouteNotFound:
            raise not_found("route_not_found", "There is no such route.") from None
        except MethodNotAllowed as other:
            raise method_not_allowed(other.allowed, reason=other.reason) from None
        scope["state"]["route_template"] = route.template
        if route.is_hot:
            scope["state"]["is_hot"] = True
        return route

    def _client_of(self, scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> str:
        peer = scope["client"][0] if scope.get("client") else None
        forwarded = [value.decode("latin-1") for name, value in headers if name == b"x-forwarded-for"]
        return self.proxies.client_of(peer, forwarded)

    async def _caller_of(self, scope: Scope, client_address: str, route: Route) -> ApiKey:
        spelling = _presented_key(scope["headers"])
        key = self.key_desk.remembered(spelling) if spelling else None
        if key is None:
            try:
                if spelling is not None and self.key_desk.knows(spelling):
                    key = await self.key_desk.verify(spelling)
                else:
                    key = await self._stranger(spelling, client_address)
            except Problem as refusal:
                if refusal.status == 401 and spelling is not None:
                    self.denials.note(refused_key(scope, route, spelling, now=self.denials.now))
                raise
        return key

    def _require_role(self, scope: Scope, route: Route, key: ApiKey) -> None:
        """Raises Problem 403, with an entry in the audit chain: hence only for what the key's limit lets through."""
        if key.role not in route.roles:
            self.denials.note(refused_role(scope, route, key, now=self.denials.now))
            raise role_not_allowed()

    async def _stranger(self, spelling: str | None, client_address: str) -> ApiKey:
        """The key of a caller we do not know yet. Each try counts before it is made, and is forgiven if it succeeds."""
        wait_seconds = await self.limits.begin_attempt(client_address)
        if wait_seconds:
            return await self._stranger_from_bad_address(spelling, client_address, wait_seconds)
        try:
            if spelling is None:
                raise unauthenticated()
            key = await self.key_desk.verify(spelling)
        except Problem as refusal:
            if refusal.status != 401:
                self.limits.forgive_attempt(client_address)
            raise
        self.limits.forgive_attempt(client_address)
        return key

    async def _stranger_from_bad_address(self, spelling: str | None, client_address: str, wait_seconds: int) -> ApiKey:
        """A good key opens here too; everything else gets the same 429, whether its id exists or not."""
        sight = await self.key_desk.look_again(spelling) if spelling is not None else None
        if sight is None or sight.existing_id is None:
            raise impatience(wait_seconds)
        is_trusted = self.limits.may_look_again(client_address, sight.existing_id)
        if sight.key is None or not is_trusted:
            self.limits.count_second_look(client_address, sight.existing_id)
            raise impatience(wait_seconds)
        return self.key_desk.believe(sight)

    async def _serve_here(
        self, scope: Scope, receive: Receive, send: Send, route: Route, key: ApiKey | None, client_address: str
    ) -> None:
        headers = [(name, value) for name, value in scope["headers"] if name not in _NOT_PASSED_ON]
        if key is not None:
            token = self._principal(scope, key, LOCAL, client_address)
            headers.append((PRINCIPAL_HEADER.lower().encode(), token.encode()))
        try:
            async with asyncio.timeout(route.deadline_seconds) as deadline:
                await self.local({**scope, "headers": headers}, receive, send)
        except Exception as fault:
            if deadline.expired():
                raise upstream_timeout() from None
            if not is_outage(fault):
                raise
            raise unavailable(code="database_unavailable") from fault

    async def _pass_on(
        self, scope: Scope, receive: Receive, send: Send, route: Route, key: ApiKey | None, client_address: str
    ) -> None:
        headers = {"X-Forwarded-For": client_address, "X-Request-Id": request_id_of(scope)}
        if sends_spans():
            headers[SPAN_HEADER.decode("ascii")] = "1"
        if key is not None:
            headers[PRINCIPAL_HEADER] = self._principal(scope, key, route.owner, client_address)
        await self.upstreams.forward(
            scope,
            receive,
            send,
            service=route.owner,
            headers=headers,
            deadline_seconds=route.deadline_seconds,
            body_max_bytes=route.body_max_bytes,
            keeps_authorization=route.keeps_authorization,
        )

    def _principal(self, scope: Scope, key: ApiKey, audience: str, client_address: str) -> str:
        principal = Principal(
            role=key.role,
            key_id=key.key_id,
            merchant_id=key.merchant_id,
            affiliate_id=key.affiliate_id,
            client_address=client_address,
            request_id=request_id_of(scope),
        )
        # Real time, like the verifiers: a settable clock must lock nobody out.
        return self.signer.sign(principal, audience=audience, now=datetime.now(UTC))


def _presented_key(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The one key presented, by `Authorization: Bearer` or `X-API-Key`; None for none, several, or another scheme."""
    presented = []
    for name, value in headers:
        if name == b"authorization":
            scheme, _, credentials = value.partition(b" ")
            presented.append(credentials.strip() if scheme.lower() == b"bearer" else b"")
        elif name == b"x-api-key":
            presented.append(value.strip())
    if len(presented) != 1 or not 0 < len(presented[0]) <= KEY_CHARACTERS_MAX or not presented[0].isascii():
        return None
    return presented[0].decode("ascii")


def _require_inside(scope: Scope, headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Metrics are for our own network: to the world there is no such route."""
    peer = scope["client"][0] if scope.get("client") else None
    if not is_private_peer(peer) or any(name == b"x-forwarded-for" for name, _ in headers):
        raise not_found("route_not_found", "There is no such route.")


def _check_declared_length(headers: Iterable[tuple[bytes, bytes]], limit_bytes: int) -> None:
    for name, value in headers:
        if name == b"content-length" and int(value) > limit_bytes:
            raise body_too_large(limit_bytes)


def _with_headers(send: Send, added: Headers) -> Send:
    async def send_told(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", []), *added]}
        await send(message)

    return send_told
