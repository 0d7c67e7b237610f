"""Every public route in one table: who may call it, who answers it, and its limits. What is not here is 404."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from services.gateway.domain.api_keys import KEY_ROLES, KeyRole

Owner = Literal["gateway", "clicks", "conversions", "commissions"]
OWNERS: Final[tuple[Owner, ...]] = ("gateway", "clicks", "conversions", "commissions")
Metering = Literal["none", "address", "key"]
"""What a request counts against: nothing, its client address, or its API key."""

BODY_MAX_BYTES: Final = 65_536
BULK_BODY_MAX_BYTES: Final = 8_388_608
"""40,000 rows of about 200 bytes."""
SETTLEMENT_BODY_MAX_BYTES: Final = 8 * 1024 * 1024
"""A bank's statement of a day, in base64."""

DEADLINE_SECONDS: Final = 15.0
REDIRECT_DEADLINE_SECONDS: Final = 5.0
EXPORT_DEADLINE_SECONDS: Final = 60.0

_PARAMETER_BYTES_MAX: Final = 300
_ENCODED_TRAPS: Final = (b"%2f", b"%5c", b"%00", b"%2e")
"""A service decodes what the gateway does not: an encoded slash could move a request to another of its routes."""

ADMIN: Final[frozenset[KeyRole]] = frozenset({"admin"})
MERCHANT: Final[frozenset[KeyRole]] = frozenset({"merchant"})
AFFILIATE: Final[frozenset[KeyRole]] = frozenset({"affiliate"})
FINANCE: Final[frozenset[KeyRole]] = frozenset({"finance"})
EVERYONE: Final[frozenset[KeyRole]] = frozenset(KEY_ROLES)
ANONYMOUS: Final[frozenset[KeyRole]] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One route. template: `{name}` stands for one segment. roles: empty for anonymous. deadline_seconds: in all.

    keeps_authorization: the service reads that header itself; elsewhere the caller's key ends at the gateway.
    """

    method: str
    template: str
    owner: Owner
    roles: frozenset[KeyRole]
    metering: Metering = "key"
    body_max_bytes: int = BODY_MAX_BYTES
    deadline_seconds: float = DEADLINE_SECONDS
    is_hot: bool = False
    keeps_authorization: bool = False

    @property
    def is_anonymous(self) -> bool:
        """True where no API key is asked for."""
        return not self.roles


def _open(methods: str, template: str, owner: Owner, **limits: object) -> list[Route]:
    return [
        Route(method=method, template=template, owner=owner, roles=ANONYMOUS, **limits)  # type: ignore[arg-type]
        for method in methods.split()
    ]


def _keyed(
    owner: Owner,
    roles: frozenset[KeyRole],
    *lines: str,
    deadline_seconds: float = DEADLINE_SECONDS,
    body_max_bytes: int = BODY_MAX_BYTES,
) -> list[Route]:
    return [
        Route(
            method=method,
            template=template,
            owner=owner,
            roles=roles,
            deadline_seconds=deadline_seconds,
            body_max_bytes=body_max_bytes,
        )
        for method, template in (line.split() for line in lines)
    ]


ROUTES: Final[tuple[Route, ...]] = (
    *_open(
        "GET HEAD",
        "/c/{offer_id}/{affiliate_id}",
        "clicks",
        metering="none",
        deadline_seconds=REDIRECT_DEADLINE_SECONDS,
        is_hot=True,
    ),
    *_open("GET POST", "/postback", "conversions", metering="address", is_hot=True, keeps_authorization=True),
    *_open("GET", "/", "gateway", metering="address"),
    *_open("GET", "/healthz", "gateway", metering="none"),
    *_open("GET", "/readyz", "gateway", metering="none"),
    *_open("GET", "/metrics", "gateway", metering="none"),
    *_open("GET", "/openapi.json", "gateway", metering="address"),
    *_open("GET", "/asyncapi.json", "gateway", metering="address"),
    *_open("GET", "/docs", "gateway", metering="address"),
    *_open("GET", "/docs/events", "gateway", metering="address"),
    *_keyed("gateway", EVERYONE, "GET /v1/me"),
    *_keyed(
        "gateway",
        ADMIN,
        "POST /v1/merchants",
        "GET /v1/merchants",
        "GET /v1/merchants/{merchant_id}",
        "POST /v1/merchants/{merchant_id}/suspend",
        "POST /v1/merchants/{merchant_id}/reinstate",
        "POST /v1/affiliates",
        "GET /v1/affiliates",
        "GET /v1/affiliates/{affiliate_id}",
        "POST /v1/affiliates/{affiliate_id}/suspend",
        "POST /v1/affiliates/{affiliate_id}/reinstate",
        "PUT /v1/affiliates/{affiliate_id}/groups/{group}",
        "DELETE /v1/affiliates/{affiliate_id}/groups/{group}",
        "POST /v1/offers",
        "POST /v1/offers/{offer_id}/versions",
        "POST /v1/offers/{offer_id}/pause",
        "POST /v1/offers/{offer_id}/resume",
        "POST /v1/offers/{offer_id}/end",
        "POST /v1/enrolments",
        "POST /v1/keys",
        "GET /v1/keys",
        "GET /v1/keys/{key_id}",
        "POST /v1/keys/{key_id}/rotate",
        "DELETE /v1/keys/{key_id}",
    ),
    *_keyed(
        "gateway",
        ADMIN | MERCHANT | AFFILIATE,
        "GET /v1/offers",
        "GET /v1/offers/{offer_id}",
        "GET /v1/offers/{offer_id}/versions/{version}",
        "GET /v1/enrolments",
        "GET /v1/enrolments/{enrolment_id}",
    ),
    *_keyed(
        "gateway",
        ADMIN | MERCHANT,
        "GET /v1/offers/{offer_id}/versions",
        "POST /v1/enrolments/{enrolment_id}/approve",
        "POST /v1/enrolments/{enrolment_id}/reject",
        "POST /v1/enrolments/{enrolment_id}/end",
    ),
    *_keyed("gateway", AFFILIATE, "POST /v1/offers/{offer_id}/applications"),
    *(route for owner in OWNERS for route in _keyed(owner, ADMIN, f"GET /v1/audit/{owner}")),
    *_keyed("clicks", AFFILIATE, "GET /v1/links"),
    *_keyed("clicks", ADMIN | AFFILIATE | FINANCE, "GET /v1/clicks"),
    *_keyed(
        "conversions",
        ADMIN | MERCHANT,
        "POST /v1/merchants/{merchant_id}/postback-credentials",
        "GET /v1/merchants/{merchant_id}/postback-credentials",
        "POST /v1/merchants/{merchant_id}/postback-credentials/{credential_id}/rotate",
        "DELETE /v1/merchants/{merchant_id}/postback-credentials/{credential_id}",
        "GET /v1/receipts",
        "GET /v1/receipts/{receipt_id}",
        "POST /v1/conversions/{ref}/approve",
        "POST /v1/conversions/{ref}/reject",
        "POST /v1/conversions/{ref}/reverse",
        "POST /v1/conversions/{ref}/adjust",
    ),
    *_keyed(
        "conversions",
        ADMIN | MERCHANT,
        "POST /v1/conversions/bulk",
        deadline_seconds=EXPORT_DEADLINE_SECONDS,
        body_max_bytes=BULK_BODY_MAX_BYTES,
    ),
    *_keyed("conversions", ADMIN | MERCHANT, "GET /v1/bulk-jobs/{job_id}"),
    *_keyed(
        "conversions",
        ADMIN | MERCHANT,
        "GET /v1/bulk-jobs/{job_id}/results",
        deadline_seconds=EXPORT_DEADLINE_SECONDS,
    ),
    *_keyed("conversions", MERCHANT, "POST /v1/conversions"),
    *_keyed("conversions", ADMIN, "POST /v1/conversions/{ref}/release"),
    *_keyed("conversions", ADMIN, "POST /v1/erasures", "GET /v1/erasures", "GET /v1/erasures/{erasure_id}"),
    *_keyed(
        "conversions", EVERYONE, "GET /v1/conversions", "GET /v1/conversions/{ref}", "GET /v1/conversions/{ref}/trail"
    ),
    *_keyed(
        "commissions",
        EVERYONE,
        "GET /v1/commissions",
        "GET /v1/commissions/{commission_id}",
        "GET /v1/commissions/{commission_id}/trail",
    ),
    *_keyed("commissions", ADMIN | MERCHANT | FINANCE, "POST /v1/pricing/dry-run"),
    *_keyed(
        "commissions",
        ADMIN | FINANCE,
        "POST /v1/commissions/release",
        "POST /v1/commissions/{commission_id}/release",
    ),
    *_keyed("commissions", ADMIN | MERCHANT | FINANCE, "GET /v1/offers/{offer_id}/caps"),
    *_keyed("commissions", EVERYONE, "GET /v1/balance", "GET /v1/bonus-goals"),
    *_keyed(
        "commissions",
        FINANCE,
        "POST /v1/exchange-rates",
        "POST /v1/affiliates/{affiliate_id}/exchanges",
        "POST /v1/fx-revaluations",
    ),
    *_keyed(
        "commissions",
        ADMIN | FINANCE,
        "POST /v1/bonuses",
        "POST /v1/bonus-goals",
        "POST /v1/bonus-goals/{goal_id}/end",
        "POST /v1/merchant-payments",
        "POST /v1/merchant-payments/{payment_id}/take-back",
    ),
    *_keyed(
        "commissions",
        ADMIN | FINANCE | MERCHANT,
        "GET /v1/merchant-payments",
        "GET /v1/prefunding",
        "PUT /v1/prefunding",
    ),
    *_keyed("commissions", ADMIN | FINANCE, "GET /v1/exchange-rates"),
    *_keyed(
        "commissions",
        EVERYONE,
        "GET /v1/statements",
        "GET /v1/statements/{statement_id}",
        deadline_seconds=EXPORT_DEADLINE_SECONDS,
    ),
    *_keyed(
        "commissions",
        FINANCE,
        "POST /v1/statements/{statement_id}/void",
        "PUT /v1/affiliates/{affiliate_id}/tax-settings",
        "PUT /v1/merchants/{merchant_id}/tax-settings",
    ),
    *_keyed("commissions", ADMIN | AFFILIATE | FINANCE, "GET /v1/affiliates/{affiliate_id}/tax-settings"),
    *_keyed("commissions", ADMIN | FINANCE | MERCHANT, "GET /v1/merchants/{merchant_id}/tax-settings"),
    *_keyed("commissions", ADMIN | AFFILIATE | FINANCE, "GET /v1/payout-settings", "PUT /v1/payout-settings"),
    *_keyed("commissions", ADMIN | AFFILIATE | FINANCE, "GET /v1/payouts"),
    *_keyed(
        "commissions",
        ADMIN | FINANCE,
        "POST /v1/payout-runs",
        "GET /v1/payout-runs",
        "GET /v1/payout-runs/{payout_run_id}",
        "GET /v1/payout-runs/{payout_run_id}/lines",
        "POST /v1/payout-runs/{payout_run_id}/approve",
        "POST /v1/payout-runs/{payout_run_id}/export",
        "POST /v1/payout-runs/{payout_run_id}/cancel",
        "GET /v1/payout-runs/{payout_run_id}/file",
        deadline_seconds=EXPORT_DEADLINE_SECONDS,
    ),
    *_keyed(
        "commissions",
        ADMIN | FINANCE,
        "POST /v1/payout-runs/{payout_run_id}/settlements",
        deadline_seconds=EXPORT_DEADLINE_SECONDS,
        body_max_bytes=SETTLEMENT_BODY_MAX_BYTES,
    ),
    *_keyed(
        "commissions",
        ADMIN | FINANCE,
        "POST /v1/payout-settings/{affiliate_id}/confirm",
        "GET /v1/payout-stops",
        "POST /v1/payout-stops",
        "POST /v1/payout-stops/{affiliate_id}/lift",
    ),
    *_keyed(
        "commissions",
        ADMIN | FINANCE,
        "GET /v1/ledger",
        "GET /v1/ledger/blocks",
        "GET /v1/trial-balance",
        deadline_seconds=EXPORT_DEADLINE_SECONDS,
    ),
)


class RouteNotFound(Exception):
    """No route has this path."""


IMMUTABLE: Final[Mapping[str, str]] = {
    "/v1/offers/{offer_id}/versions/{version}": "A published version never changes; clicks are paid by it. Publish the"
    " next one: POST /v1/offers/{offer_id}/versions."
}
"""Why what is at a path cannot be edited, and what to do instead."""


class MethodNotAllowed(Exception):
    """The path has routes, for other methods. allowed: sorted. reason: why, where there is more to say."""

    def __init__(self, allowed: Sequence[str], reason: str | None = None) -> None:
        super().__init__(", ".join(allowed))
        self.allowed = tuple(allowed)
        self.reason = reason


@dataclass(slots=True)
class _Node:
    literal: dict[bytes, "_Node"] = field(default_factory=dict)
    parameter: "_Node | None" = None
    by_method: dict[str, Route] = field(default_factory=dict)


class RouteTable:
    """Routes compiled into a tree of raw path segments. A literal segment wins over a parameter."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._root = _Node()
        for route in routes:
            node = self._root
            for segment in _segments(route.template.encode("ascii")):
                node = _child(node, segment)
            if route.method in node.by_method:
                raise ValueError(f"two routes for {route.method} {route.template}")
            node.by_method[route.method] = route

    def find(self, method: str, raw_path: bytes) -> Route:
        """The route of a request, by its path as sent. Raises RouteNotFound, MethodNotAllowed."""
        node: _Node | None = self._root
        for segment in _segments(raw_path):
            assert node is not None
            following = node.literal.get(segment)
            if following is None and node.parameter is not None and _may_be_parameter(segment):
                following = node.parameter
            if following is None:
                raise RouteNotFound
            node = following
        assert node is not None
        if not node.by_method:
            raise RouteNotFound
        route = node.by_method.get(method)
        if route is None:
            template = next(iter(node.by_method.values())).template
            raise MethodNotAllowed(sorted(node.by_method), IMMUTABLE.get(template))
        return route


def roles_by_route(routes: Iterable[Route]) -> Mapping[tuple[str, str], frozenset[KeyRole]]:
    """Who may call what, by method and template."""
    return {(route.method, route.template): route.roles for route in routes}


def _child(node: _Node, segment: bytes) -> _Node:
    if segment.startswith(b"{"):
        node.parameter = node.parameter or _Node()
        return node.parameter
    return node.literal.setdefault(segment, _Node())


def _segments(path: bytes) -> list[bytes]:
    if not path.startswith(b"/"):
        raise RouteNotFound
    return [] if path == b"/" else path[1:].split(b"/")


def _may_be_parameter(segment: bytes) -> bool:
    if not 0 < len(segment) <= _PARAMETER_BYTES_MAX or segment in (b".", b".."):
        return False
    if b"%" not in segment:
        return b"\\" not in segment
    lowered = segment.lower()
    return b"\\" not in segment and not any(trap in lowered for trap in _ENCODED_TRAPS)
