"""The HTTP process: commissions, balances, statements and the ledger; payouts, which people decide about here."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI

from services.commissions.api import (
    balances,
    bonus_goals,
    bonuses,
    caps,
    commissions,
    exchange_rates,
    exchanges,
    issued_statements,
    ledger,
    merchant_payments,
    payout_runs,
    payout_settings,
    payout_stops,
    payouts,
    prefunding,
    pricing,
    releases,
    statements,
    tax_settings,
)
from services.commissions.api.desk import Desk
from services.commissions.bootstrap import Api, build_api
from services.commissions.settings import CommissionsSettings
from shared.runtime.audit_routes import audit_router
from shared.runtime.build_info import show_build
from shared.runtime.clock import clock_from
from shared.runtime.health import Health
from shared.runtime.http_app import create_app
from shared.runtime.larger_body import LargerBody
from shared.runtime.logging import configure_logging
from shared.runtime.process import background, run_api
from shared.runtime.start import require_migrated, run_plainly
from shared.runtime.tracing import configure_tracing

ROUTERS: Final = (
    commissions.router,
    pricing.router,
    balances.router,
    bonuses.router,
    bonus_goals.router,
    statements.router,
    issued_statements.router,
    tax_settings.router,
    ledger.router,
    exchange_rates.router,
    exchanges.router,
    payout_settings.router,
    payout_stops.router,
    merchant_payments.router,
    prefunding.router,
    payout_runs.router,
    payout_runs.settlement_router,
    payouts.router,
    caps.router,
    releases.router,
)


def build_app(settings: CommissionsSettings, health: Health) -> FastAPI:
    """The whole application of commissions-api."""
    return app_of(build_api(settings), settings, health)


def app_of(api: Api, settings: CommissionsSettings, health: Health) -> FastAPI:
    """The application around an object graph that is built already."""

    async def check_database() -> str | None:
        async with api.staff.reading() as connection:
            await connection.exec_driver_sql("SELECT 1")
        return None

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.principal_verifier = api.principal_verifier
        app.state.desk = Desk(
            clock=clock_from(settings.clock_file),
            tenants=api.tenants,
            staff=api.staff,
            sealing_keyring=api.sealing_keyring,
            payout_policy=api.payout_policy,
            rate_days_max=settings.exchange_rate_days_max,
            issuer=settings.issuer,
        )
        app.state.denials = api.denials
        tasks = {
            "principal keyring": api.principal_keyring.run,
            "sealing keyring": api.sealing_keyring.run,
            "audit of denials": api.denials.run,
        }
        async with background(tasks, health):
            yield
        await api.denials.close()
        await api.close()

    health.add_check("database", check_database)
    routers = (*ROUTERS, audit_router("commissions", api.staff))
    return create_app(title="commissions", settings=settings, health=health, routers=routers, lifespan=lifespan)


def main() -> None:
    """Serve until SIGTERM."""
    settings = CommissionsSettings()
    configure_logging("commissions", "api", level=settings.log_level)
    show_build("commissions", "api")
    configure_tracing(settings, "commissions", "api")
    require_migrated(settings.database_url("commissions"), "commissions")
    health = Health()
    run_api(
        build_app(settings, health),
        settings,
        health=health,
        larger_bodies=(LargerBody(payout_runs.SETTLEMENT_PATH, payout_runs.SETTLEMENT_BODY_BYTES_MAX),),
    )


if __name__ == "__main__":
    run_plainly(main)
