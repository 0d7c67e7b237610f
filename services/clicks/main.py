"""The HTTP process: the redirect in front, `/v1/links` and `/v1/clicks` behind it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from services.clicks.api.clicks import clicks_router
from services.clicks.api.links import links_router
from services.clicks.api.redirect import REDIRECT_PREFIX
from services.clicks.bootstrap import Api, build_api
from services.clicks.settings import ClicksSettings
from shared.runtime.audit_routes import audit_router
from shared.runtime.build_info import show_build
from shared.runtime.event_log.kafka_publisher import KafkaBatchPublisher
from shared.runtime.health import Health
from shared.runtime.http_app import create_app
from shared.runtime.http_observer import new_request_id
from shared.runtime.logging import configure_logging, get_logger
from shared.runtime.problem import send_problem, unavailable
from shared.runtime.process import background, run_api
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing

_log = get_logger(__name__)


def build_app(settings: ClicksSettings, health: Health) -> ASGIApp:
    """The whole ASGI application of clicks-api."""
    api = build_api(settings)
    health.add_check("catalogue", api.follower.check_loaded)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.principal_verifier = api.principal_verifier
        app.state.denials = api.denials
        async with background(_tasks(api), health):
            yield
        await asyncio.gather(api.recorder.close(), api.denials.close())
        await api.close()

    routers = [
        links_router(api.catalogue, api.clock, link_base=settings.link_base),
        clicks_router(api.tenants, api.staff),
        audit_router("clicks", api.staff),
    ]
    json_routes = create_app(title="clicks", settings=settings, health=health, routers=routers, lifespan=lifespan)
    redirect = api.redirect

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(REDIRECT_PREFIX):
            if api.follower.is_loaded:
                await redirect(scope, receive, send)
            else:  # just started: a link we do not know yet is no unknown link
                await send_problem(send, unavailable(), new_request_id())
        else:
            await json_routes(scope, receive, send)

    return app


def _tasks(api: Api) -> dict[str, Callable[[], Awaitable[None]]]:
    tasks: dict[str, Callable[[], Awaitable[None]]] = {
        "catalogue": api.follower.run,
        "click keyring": api.click_keyring.run,
        "principal keyring": api.principal_keyring.run,
        "click recorder": api.recorder.run,
        "audit of denials": api.denials.run,
    }
    if api.kafka is not None:
        tasks["kafka"] = partial(_connect, api.kafka)
    return tasks


async def _connect(kafka: KafkaBatchPublisher) -> None:
    """Connect before the first click; a broker that is away is tried again by the clicks themselves."""
    try:
        await kafka.start()
    except Exception as fault:
        _log.warning("kafka_not_connected", reason=type(fault).__name__)


def main() -> None:
    """Serve until SIGTERM."""
    settings = ClicksSettings()
    configure_logging("clicks", "api", level=settings.log_level)
    show_build("clicks", "api")
    configure_tracing(settings, "clicks", "api")
    require_migrated(settings.database_url("clicks"), "clicks")
    health = Health()
    run_api(build_app(settings, health), settings, health=health, trusted=settings.trusted_proxy_cidrs)


if __name__ == "__main__":
    run_plainly(main)
