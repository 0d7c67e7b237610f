"""Every route of the table as every role: the table is what is answered (T44)."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.gateway.domain.routes import ROUTES, Route
from tests.conftest import TestPostgres
from tests.integration.gateway.conftest import GatewayClient, Network, gateway, settings_for, small_network
from tests.integration.gateway.sockets import EchoService, serving

CALLERS = ("nobody", "revoked", "admin", "merchant", "affiliate", "finance")
KEYED = [route for route in ROUTES if not route.is_anonymous]


@pytest.fixture(scope="module")
async def callers(postgres: TestPostgres, gateway_folder: Path) -> AsyncIterator[dict[str, GatewayClient]]:
    """A client for each kind of caller, before a gateway whose services answer everything with 200."""
    async with serving(EchoService()) as port:
        upstream = f"http://127.0.0.1:{port}"
        settings = settings_for(
            postgres,
            gateway_folder,
            clicks_url=upstream,
            conversions_url=upstream,
            commissions_url=upstream,
        )
        async with gateway(settings) as admin:
            network: Network = await small_network(admin)
            revoked = await admin.post("/v1/keys", {"role": "admin"})
            await admin.call("DELETE", f"/v1/keys/{revoked['id']}")
            yield {
                "nobody": admin.as_key(None),
                "revoked": admin.as_key(revoked["key"]),
                "admin": admin,
                "merchant": network.merchant,
                "affiliate": network.affiliate,
                "finance": network.finance,
            }


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("route", KEYED, ids=lambda route: f"{route.method} {route.template}")
async def test_a_route_answers_its_roles_only(callers: dict[str, GatewayClient], route: Route, caller: str) -> None:
    path = "/".join("2000000000" if part.startswith("{") else part for part in route.template.split("/"))

    answer = await callers[caller].call(route.method, path, json={} if route.method == "POST" else None)

    if caller in ("nobody", "revoked"):
        assert answer.status_code == 401
    elif caller not in route.roles:
        assert (answer.status_code, answer.json()["code"]) == (403, "role_not_allowed")
    else:
        assert answer.status_code in (200, 404, 422)
