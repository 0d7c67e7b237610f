"""The HTTP process: `/postback` in front, the API behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from services.conversions.api import bulk_jobs, conversion_actions, conversions, credentials, erasures, receipts
from services.conversions.api.bulk_jobs import BULK_BODY_BYTES_MAX, BULK_PATH
from services.conversions.api.postback_door import POSTBACK_PATH, PostbackDoor
from services.conversions.bootstrap import Api, build_api
from services.conversions.settings import ConversionsSettings
from shared.runtime.audit_routes import audit_router
from shared.runtime.build_info import show_build
from shared.runtime.health import Health
from shared.runtime.http_app import create_app
from shared.runtime.larger_body import LargerBody
from shared.runtime.logging import configure_logging
from shared.runtime.process import background, run_api
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing

ROUTERS: Final = (
    conversions.router,
    conversion_actions.router,
    receipts.router,
    credentials.router,
    erasures.router,
    bulk_jobs.router,
)


def build_app(settings: ConversionsSettings, health: Health) -> ASGIApp:
    """The whole ASGI application of conversions-api."""
    return app_of(build_api(settings), settings, health)


def app_of(api: Api, settings: ConversionsSettings, health: Health) -> ASGIApp:
    """The application around an object graph that is built already."""
    health.add_check("catalogue", api.follower.check_loaded)
    health.add_check("credentials", api.desk.book.health)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.principal_verifier = api.principal_verifier
        app.state.desk = api.desk
        app.state.denials = api.denials
        async with background(_tasks(api), health):
            yield
        await asyncio.gather(api.desk.rejected.write(), api.denials.close(), return_exceptions=True)
        await api.close()

    routers = (*ROUTERS, audit_router("conversions", api.desk.staff))
    json_routes = create_app(title="conversions", settings=settings, health=health, routers=routers, lifespan=lifespan)
    door = PostbackDoor(api.desk)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == POSTBACK_PATH:
            await door(scope, receive, send)
        else:
            await json_routes(scope, receive, send)

    return app


def _tasks(api: Api) -> dict[str, Callable[[], Awaitable[None]]]:
    return {
        "catalogue": api.follower.run,
        "credentials": api.desk.book.run,
        "rejected postbacks": api.desk.rejected.run,
        "click keyring": api.desk.click_keyring.run,
        "sealing keyring": api.desk.sealing_keyring.run,
        "principal keyring": api.principal_keyring.run,
        "audit of denials": api.denials.run,
        "limits": api.lease_desk.run,
    }


def main() -> None:
    """Serve until SIGTERM."""
    settings = ConversionsSettings()
    configure_logging("conversions", "api", level=settings.log_level)
    show_build("conversions", "api")
    configure_tracing(settings, "conversions", "api")
    require_migrated(settings.database_url("conversions"), "conversions")
    health = Health()
    run_api(
        build_app(settings, health),
        settings,
        health=health,
        trusted=settings.trusted_proxy_cidrs,
        larger_bodies=(LargerBody(BULK_PATH, BULK_BODY_BYTES_MAX),),
    )


if __name__ == "__main__":
    run_plainly(main)
