"""The HTTP process: the public door, with the control plane behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.types import ASGIApp

from services.gateway.api.door import Door
from services.gateway.api.enrolments import enrolments_router
from services.gateway.api.front_page import front_page_router
from services.gateway.api.interface_pages import interface_router
from services.gateway.api.keys import keys_router
from services.gateway.api.offers import offers_router
from services.gateway.api.parties import parties_router
from services.gateway.api.refusals import install_refusals
from services.gateway.bootstrap import Api, build_api
from services.gateway.domain.routes import BODY_MAX_BYTES, ROUTES, RouteTable
from services.gateway.settings import GatewaySettings
from services.gateway.usecases.bootstrap_admin_key import bootstrap_admin_key
from shared.runtime.audit_routes import audit_router
from shared.runtime.build_info import show_build
from shared.runtime.health import Health
from shared.runtime.http_app import create_app
from shared.runtime.larger_body import LargerBody
from shared.runtime.logging import configure_logging, get_logger
from shared.runtime.process import background, run_api
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing

MONEY_PATHS: Final = (b"/postback", b"/v1/conversions", b"/healthz", b"/readyz")
"""What the last places are kept for: a flood of clicks must not shut out what merchants report, nor end the process."""

BOOTSTRAP_RETRY_SECONDS: Final = 0.5
ROUTERS: Final = (front_page_router, interface_router, parties_router, offers_router, enrolments_router, keys_router)

_log = get_logger(__name__)


def build_app(settings: GatewaySettings, health: Health) -> ASGIApp:
    """The whole ASGI application of gateway-api."""
    api = build_api(settings)
    is_bootstrapped = asyncio.Event()

    async def check_bootstrap() -> str | None:
        return None if is_bootstrapped.is_set() else "the database has not answered yet"

    health.add_check("bootstrap", check_bootstrap)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.principal_verifier = api.verifier
        app.state.wiring = api.wiring
        app.state.denials = api.denials
        tasks: dict[str, Callable[[], Awaitable[None]]] = {
            "bootstrap": partial(_bootstrap, api, is_bootstrapped),
            "principal keyring": api.principal_keyring.run,
            "audit of denials": api.denials.run,
            "limits": api.lease_desk.run,
        }
        async with api.upstreams.proxy, background(tasks, health):
            yield
        await api.denials.close()
        await api.close()

    routers = [*ROUTERS, audit_router("gateway", api.wiring.staff)]
    local = create_app(title="Tributary", settings=settings, health=health, routers=routers, lifespan=lifespan)
    install_refusals(local)
    door = Middleware(
        Door,
        table=RouteTable(ROUTES),
        key_desk=api.wiring.key_desk,
        limits=api.limits,
        proxies=api.proxies,
        signer=api.signer,
        upstreams=api.upstreams,
        denials=api.denials,
    )
    # Innermost: within the observer, so that what the door refuses or passes on is counted and answered like the rest.
    local.user_middleware.append(door)
    return local


async def _bootstrap(api: Api, is_done: asyncio.Event) -> None:
    """Make sure there is an admin key, however long the database takes to come up."""
    while not is_done.is_set():
        try:
            async with api.wiring.staff.transaction() as session:
                if api.bootstrap_key is not None and await bootstrap_admin_key(
                    session, spelling=api.bootstrap_key, now=api.wiring.clock.now()
                ):
                    _log.info("admin_key_bootstrapped")
            is_done.set()
        except ValueError as fault:
            _log.error("admin_key_not_bootstrapped", reason=str(fault))
            return
        except Exception as fault:
            _log.warning("database_not_ready", reason=type(fault).__name__)
            await asyncio.sleep(BOOTSTRAP_RETRY_SECONDS)


def main() -> None:
    """Serve until SIGTERM."""
    settings = GatewaySettings()
    configure_logging("gateway", "api", level=settings.log_level)
    show_build("gateway", "api")
    configure_tracing(settings, "gateway", "api")
    require_migrated(settings.database_url("gateway"), "gateway")
    health = Health()
    run_api(
        build_app(settings, health),
        settings,
        health=health,
        trusted=settings.trusted_proxy_cidrs,
        reserved_paths=MONEY_PATHS,
        larger_bodies=tuple(
            LargerBody(r.template, r.body_max_bytes) for r in ROUTES if r.body_max_bytes > BODY_MAX_BYTES
        ),
    )


if __name__ == "__main__":
    run_plainly(main)
