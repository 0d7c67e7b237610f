"""The HTTP process: `/postback` in front, the API behind it."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from starlette.types import ASGIApp, Receive, Scope, Send

from services.conversions.api import conversion_actions, conversions, credentials, receipts
from services.conversions.api.postback_door import POSTBACK_PATH, PostbackDoor
from services.conversions.bootstrap import Api, build_api
from services.conversions.settings import ConversionsSettings
from shared.runtime.health import Health
from shared.runtime.http_app import create_app
from shared.runtime.logging import configure_logging, get_logger
from shared.runtime.process import run_api

ROUTERS: Final = (conversions.router, conversion_actions.router, receipts.router, credentials.router)
LOAD_RETRY_SECONDS: Final = 0.5
GARBAGE_THRESHOLD: Final = 5_000
"""Objects between two looks for garbage: a hundred requests in flight are no garbage, and looking costs a tenth."""

_log = get_logger(__name__)


def build_app(settings: ConversionsSettings, health: Health) -> ASGIApp:
    """The whole ASGI application of conversions-api."""
    return app_of(build_api(settings), settings, health)


def app_of(api: Api, settings: ConversionsSettings, health: Health) -> ASGIApp:
    """The application around an object graph that is built already."""
    loaded = asyncio.Event()

    async def check_catalogue() -> str | None:
        return None if loaded.is_set() else "the catalogue is not loaded yet"

    health.add_check("catalogue", check_catalogue)
    health.add_check("credentials", api.desk.book.health)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.principal_verifier = api.principal_verifier
        app.state.desk = api.desk
        tasks = [asyncio.create_task(run()) for run in _background(api, loaded)]
        gc.collect()
        gc.freeze()
        gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(api.desk.rejected.write(), return_exceptions=True)
            await api.close()

    json_routes = create_app(title="conversions", settings=settings, health=health, routers=ROUTERS, lifespan=lifespan)
    door = PostbackDoor(api.desk)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == POSTBACK_PATH:
            await door(scope, receive, send)
        else:
            await json_routes(scope, receive, send)

    return app


def _background(api: Api, loaded: asyncio.Event) -> list[Callable[[], Coroutine[Any, Any, None]]]:
    return [
        lambda: _follow(api, loaded),
        api.desk.book.run,
        api.desk.rejected.run,
        api.desk.click_keyring.run,
        api.desk.sealing_keyring.run,
        api.principal_keyring.run,
    ]


async def _follow(api: Api, loaded: asyncio.Event) -> None:
    """Load the catalogue, however long the database takes to come up, and then follow it."""
    while not loaded.is_set():
        try:
            await api.follower.load()
            loaded.set()
            api.desk.catalogue.is_loaded = True
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
    settings = ConversionsSettings()
    configure_logging("conversions", "api", level=settings.log_level)
    health = Health()
    run_api(build_app(settings, health), settings, health=health)


if __name__ == "__main__":
    main()
