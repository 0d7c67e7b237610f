"""Builds the object graphs of the two conversions processes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services.conversions.api.desk import Desk
from services.conversions.consumers.billable_clicks import BillableClicksHandler
from services.conversions.consumers.catalogue_feed import CatalogueFeed
from services.conversions.consumers.click_index import ClickIndexHandler
from services.conversions.consumers.clicks_erased import ClicksErasedHandler
from services.conversions.domain.catalogue import Catalogue
from services.conversions.settings import ConversionsSettings
from services.conversions.storage.foreign import exists
from services.conversions.storage.retention_store import Limits, retention_step
from services.conversions.usecases.add_click_details import add_missed_details
from services.conversions.usecases.approve_validated import approve_validated
from services.conversions.usecases.attribute_waiting import attribute_waiting
from services.conversions.usecases.credential_book import CredentialBook
from services.conversions.usecases.execute_erasures import execute_erasures
from services.conversions.usecases.postback_group import GROUPS_IN_FLIGHT_MAX, PostbackGroup
from services.conversions.usecases.rejected_postbacks import RejectedPostbacks
from services.conversions.usecases.work_bulk_jobs import work_bulk_jobs
from shared.contracts.topics import BILLABLE_CLICKS, CATALOGUE, CLICKS, CLICKS_ERASED
from shared.kernel.personal_values import Screen
from shared.kernel.token_bucket import Limit
from shared.runtime.audit_denials import DenialLog
from shared.runtime.clock import clock_from
from shared.runtime.consumer import Consumer, Handler
from shared.runtime.database import Database
from shared.runtime.database_timeout import HOT_STATEMENT_TIMEOUT_MS, READ_STATEMENT_TIMEOUT_MS, STATEMENT_TIMEOUT_MS
from shared.runtime.event_log.choice import build_event_source, build_publisher
from shared.runtime.keyring import Keyring
from shared.runtime.principal import PrincipalVerifier
from shared.runtime.privacy_key import read_privacy_key
from shared.runtime.projection import ProjectionFollower, apply_projection
from shared.runtime.rate_limit.limiter import LeaseDesk, Limiter
from shared.runtime.rate_limit.store import forget_quiet_buckets
from shared.runtime.relay import Relay
from shared.runtime.settings import SettingInvalid
from shared.runtime.sweep import Sweep

INDEX_BATCH_CLICKS: Final = 2_000
APPROVE_EVERY_SECONDS: Final = 1.0
LIMIT_SWEEP_SECONDS: Final = 30.0
ATTRIBUTE_EVERY_SECONDS: Final = 0.25
BULK_EVERY_SECONDS: Final = 0.5
ERASE_EVERY_SECONDS: Final = 1.0
COMPLETE_EVERY_SECONDS: Final = 1.0
"""The index consumer completes conversions itself; this catches the two that just missed each other."""


@dataclass(frozen=True, slots=True)
class Api:
    """What the HTTP process works with."""

    desk: Desk
    denials: DenialLog
    follower: ProjectionFollower
    lease_desk: LeaseDesk
    principal_keyring: Keyring
    principal_verifier: PrincipalVerifier
    databases: tuple[Database, ...]

    async def close(self) -> None:
        """Give the limits' tokens back and let go of every connection."""
        await self.lease_desk.close()
        for database in self.databases:
            await database.close()


@dataclass(frozen=True, slots=True)
class Worker:
    """What the background process runs."""

    relay: Relay
    catalogue: Consumer
    click_index: Consumer
    billable_clicks: Consumer
    approvals: Sweep
    waiting: Sweep
    click_details: Sweep
    clicks_erased: Consumer
    erasures: Sweep
    bulk_jobs: Sweep
    retention: Sweep
    limit_sweep: Sweep
    database: Database


def build_api(settings: ConversionsSettings) -> Api:
    """The doors. Raises ValueError or KeyringInvalid for a setting that is missing or bad."""
    url = settings.database_url("conversions")
    clock = clock_from(settings.clock_file)
    databases = _open_databases(url)
    intake, tenants, staff, audit, following = databases
    catalogue = Catalogue()
    sealing_keyring = Keyring.load(_required(settings.sealing_keyring_file, "SEALING_KEYRING_FILE"))
    principal_keyring = Keyring.load(_required(settings.principal_keyring_file, "PRINCIPAL_KEYRING_FILE"))
    follower = ProjectionFollower(following, CatalogueFeed(catalogue))
    lease_desk = LeaseDesk(intake)
    per_merchant = Limit(settings.limit_merchant_per_second, settings.limit_merchant_burst)
    desk = Desk(
        clock=clock,
        catalogue=catalogue,
        follower=follower,
        click_keyring=Keyring.load(_required(settings.click_keyring_file, "CLICK_KEYRING_FILE")),
        sealing_keyring=sealing_keyring,
        book=CredentialBook(intake, sealing_keyring, clock),
        group=PostbackGroup(intake),
        rejected=RejectedPostbacks(intake),
        limit=Limiter("merchant", per_merchant, lease_desk),
        tenants=tenants,
        staff=staff,
        screen=Screen(read_privacy_key(_required(settings.privacy_key_file, "PRIVACY_KEY_FILE"))),
        trusted_proxies=settings.trusted_proxy_cidrs,
    )
    return Api(
        desk=desk,
        denials=DenialLog(audit, exists, clock),
        follower=follower,
        lease_desk=lease_desk,
        principal_keyring=principal_keyring,
        principal_verifier=PrincipalVerifier(principal_keyring, audience="conversions"),
        databases=databases,
    )


def _open_databases(url: str) -> tuple[Database, Database, Database, Database, Database]:
    """Intake, tenants, staff, audit, and the follower's: reading a whole catalogue takes longer than a hot door may."""

    def opened(role: str, name: str, pool_size: int, statement_timeout_ms: int) -> Database:
        return Database(
            url,
            role=f"conversions_{role}",
            pool_size=pool_size,
            name=f"conversions-{name}",
            statement_timeout_ms=statement_timeout_ms,
        )

    return (
        # One connection each for the groups, the book, the rejected postbacks, the limits' tokens.
        opened("intake", "intake", GROUPS_IN_FLIGHT_MAX + 3, HOT_STATEMENT_TIMEOUT_MS),
        opened("api", "api", 5, READ_STATEMENT_TIMEOUT_MS),
        opened("staff", "staff", 3, READ_STATEMENT_TIMEOUT_MS),
        opened("staff", "audit", 1, READ_STATEMENT_TIMEOUT_MS),
        opened("intake", "follower", 1, STATEMENT_TIMEOUT_MS),
    )


def build_worker(settings: ConversionsSettings) -> Worker:
    """The relay, the two consumers and the sweeps."""
    database = Database(
        settings.database_url("conversions"), role="conversions_worker", pool_size=8, name="conversions-worker"
    )
    clock = clock_from(settings.clock_file)

    def consumer(name: str, topic: str, handler: Handler, batch_size: int = 500) -> Consumer:
        return Consumer(
            name=name,
            topic=topic,
            database=database,
            source=build_event_source(settings, topic),
            handler=handler,
            clock=clock,
            batch_size=batch_size,
        )

    return Worker(
        relay=Relay(database=database, publisher=build_publisher(settings), service="conversions"),
        catalogue=consumer("conversions.catalogue", CATALOGUE, apply_projection),
        click_index=consumer("conversions.click_index", CLICKS, ClickIndexHandler(clock), INDEX_BATCH_CLICKS),
        billable_clicks=consumer("conversions.billable_clicks", BILLABLE_CLICKS, BillableClicksHandler(clock)),
        clicks_erased=consumer("conversions.clicks_erased", CLICKS_ERASED, ClicksErasedHandler(clock)),
        erasures=Sweep("erasures", execute_erasures, database=database, clock=clock, every_seconds=ERASE_EVERY_SECONDS),
        approvals=Sweep(
            "approvals", approve_validated, database=database, clock=clock, every_seconds=APPROVE_EVERY_SECONDS
        ),
        waiting=Sweep(
            "waiting", attribute_waiting, database=database, clock=clock, every_seconds=ATTRIBUTE_EVERY_SECONDS
        ),
        click_details=Sweep(
            "click_details", add_missed_details, database=database, clock=clock, every_seconds=COMPLETE_EVERY_SECONDS
        ),
        bulk_jobs=Sweep("bulk_jobs", work_bulk_jobs, database=database, clock=clock, every_seconds=BULK_EVERY_SECONDS),
        retention=Sweep(
            "retention",
            retention_step(
                Limits(
                    receipt_months=settings.conversions_receipt_months,
                    click_detail_days=settings.conversions_click_detail_days,
                    unauthenticated_days=settings.conversions_unauthenticated_days,
                )
            ),
            database=database,
            clock=clock,
            every_seconds=settings.retention_every_seconds,
        ),
        limit_sweep=Sweep(
            "limits", forget_quiet_buckets, database=database, clock=clock, every_seconds=LIMIT_SWEEP_SECONDS
        ),
        database=database,
    )


def _required(path: Path | None, name: str) -> Path:
    if path is None:
        raise SettingInvalid(f"{name} is not set")
    return path
