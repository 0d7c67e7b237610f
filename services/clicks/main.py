"""The HTTP process: the redirect in front, `/v1/links` and `/v1/clicks` behind it."""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from services.clicks.api.clicks import clicks_router
from services.clicks.api.links import links_router
from services.clicks.api.redirect import REDIRECT_PREFIX
from services.clicks.bootstrap import Api, build_api
from services.clicks.settings import ClicksSettings
from shared.runtime.event_log.kafka_publisher import KafkaBatchPublisher
from shared.runtime.health import Health
from shared.runtime.http_app import create_app
from shared.runtime.http_observer import new_request_id
from shared.runtime.logging import configure_logging, get_logger
from shared.runtime.problem import send_problem, unavailable
from shared.runtime.process import run_api

LOAD_RETRY_SECONDS: Final = 0.5
GARBAGE_THRESHOLD: Final = 5_000
"""Objects between two looks for garbage: a hundred requests in flight are no garbage, and looking costs a tenth."""

_log = get_logger(__name__)


def build_app(settings: ClicksSettings, health: Health) -> ASGIApp:
    """The whole ASGI application of clicks-api."""
    api = build_api(settings)
    loaded = asyncio.Event()

    async def check_catalogue() -> str | None:
        return None if loaded.is_set() else "the catalogue is not loaded yet"

    health.add_check("catalogue", check_catalogue)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.principal_verifier = api.principal_verifier
        tasks = [
            asyncio.create_task(task)
            for task in (
                _follow(api, loaded),
                api.click_keyring.run(),
                api.principal_keyring.run(),
                api.recorder.run(),
            )
        ]
        if api.kafka is not None:
            tasks.append(asyncio.create_task(_connect(api.kafka)))
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await api.recorder.close()
            await api.close()

    routers = [
        links_router(api.catalogue, api.clock, link_base=settings.link_base),
        clicks_router(api.tenants, api.staff),
    ]
    json_routes = create_app(title="clicks", settings=settings, health=health, routers=routers, lifespan=lifespan)
    redirect = api.redirect

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(REDIRECT_PREFIX):
            if loaded.is_set():
                await redirect(scope, receive, send)
            else:  # just started: a link we do not know yet is no unknown link
                await send_problem(send, unavailable(), new_request_id())
        else:
            await json_routes(scope, receive, send)

    return app


async def _connect(kafka: KafkaBatchPublisher) -> None:
    """Connect before the first click; a broker that is away is tried again by the clicks themselves."""
    try:
        await kafka.start()
    except Exception as fault:
        _log.warning("kafka_not_connected", reason=type(fault).__name__)


async def _follow(api: Api, loaded: asyncio.Event) -> None:
    """Load the catalogue, however long the database takes to come up, and then follow it."""
    while not loaded.is_set():
        try:
            await api.follower.load()
            loaded.set()
        except Exception as fault:
            _log.warning("catalogue_not_loaded", reason=type(fault).__name__)
            await asyncio.sleep(LOAD_RETRY_SECONDS)
    while True:
        try:
            await api.follower.run()
            return
        except Exception:
            _log.exception("catalogue_follower_failed")
            await asyncio.sleep(LOAD_RETRY_SECONDS)


def main() -> None:
    """Serve until SIGTERM."""
    settings = ClicksSettings()
    configure_logging("clicks", "api", level=settings.log_level)
    health = Health()
    run_api(build_app(settings, health), settings, health=health)


if __name__ == "__main__":
    main()
