"""Builds the object graphs of the two clicks processes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import crawleruseragents

from services.clicks.api.client_address import ClientAddresses
from services.clicks.api.redirect import RedirectDoor
from services.clicks.clients.click_home import KafkaClickSink, OutboxClickSink
from services.clicks.clients.click_homes import HOME_TIMEOUT_SECONDS
from services.clicks.clients.click_recorder import ClickRecorder
from services.clicks.consumers.catalogue_feed import CatalogueFeed
from services.clicks.consumers.click_log import ClickLogHandler
from services.clicks.consumers.erasures import ErasureHandler
from services.clicks.domain.catalogue import Catalogue
from services.clicks.domain.floods import Floods
from services.clicks.domain.robots import RobotMatcher
from services.clicks.settings import ClicksSettings
from services.clicks.storage.retention_store import retention_step
from services.clicks.usecases.answer_click import ClickDesk
from services.clicks.usecases.erase_clicks import erase_missed_clicks
from services.clicks.usecases.note_billable_clicks import PayingVersions
from services.clicks.usecases.settle_billable_clicks import settle_step
from shared.contracts.topics import CATALOGUE, CLICKS, ERASURES
from shared.kernel.clock import Clock
from shared.kernel.token_bucket import Limit
from shared.runtime.audit_denials import DenialLog
from shared.runtime.clock import clock_from
from shared.runtime.consumer import Consumer
from shared.runtime.database import Database, Session
from shared.runtime.database_timeout import HOT_STATEMENT_TIMEOUT_MS, READ_STATEMENT_TIMEOUT_MS
from shared.runtime.event_log.choice import build_event_source, build_publisher
from shared.runtime.event_log.kafka_publisher import KafkaBatchPublisher
from shared.runtime.keyring import Keyring
from shared.runtime.log_copies import SCAN_TIMEOUT_MS
from shared.runtime.principal import PrincipalVerifier
from shared.runtime.privacy_key import read_privacy_key
from shared.runtime.projection import ProjectionFollower, apply_projection
from shared.runtime.relay import Relay
from shared.runtime.settings import SettingInvalid
from shared.runtime.sweep import Sweep

INTAKE_CONNECTIONS: Final = 4
"""As many as the recorder has groups in flight."""

KAFKA_ACK_SECONDS: Final = HOME_TIMEOUT_SECONDS - 0.2
"""Under the recorder's own limit, so that a producer that hangs is replaced and not only left."""

LOG_BATCH_CLICKS: Final = 2_000

ERASURES_AT_A_TIME: Final = 10
"""Looked for in one scan of the log, which costs by rows times clicks looked for."""

ERASE_MISSED_EVERY_SECONDS: Final = 2.0
SETTLE_EVERY_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class Api:
    """What the HTTP process works with. kafka: the first home of clicks, where there is one."""

    clock: Clock
    catalogue: Catalogue
    follower: ProjectionFollower
    click_keyring: Keyring
    principal_keyring: Keyring
    principal_verifier: PrincipalVerifier
    recorder: ClickRecorder
    kafka: KafkaBatchPublisher | None
    outbox: OutboxClickSink
    redirect: RedirectDoor
    intake: Database
    following: Database
    tenants: Database
    staff: Database
    audit: Database
    denials: DenialLog

    async def close(self) -> None:
        """Let go of every connection, the broker's first."""
        if self.kafka is not None:
            await self.kafka.stop()
        await self.outbox.close()
        for database in (self.intake, self.following, self.tenants, self.staff, self.audit):
            await database.close()


@dataclass(frozen=True, slots=True)
class Worker:
    """What the background process runs."""

    relay: Relay
    catalogue: Consumer
    click_log: Consumer
    erasures: Consumer
    missed_erasures: Sweep
    billable_clicks: Sweep
    retention: Sweep
    databases: tuple[Database, ...]


def build_api(settings: ClicksSettings) -> Api:
    """The redirect and the JSON routes. Raises ValueError or KeyringInvalid for a setting that is missing or bad."""
    url = settings.database_url("clicks")
    intake = Database(  # the outbox keeps its connections in use: one more, so that the pool is never seen full
        url,
        role="clicks_intake",
        pool_size=INTAKE_CONNECTIONS + 1,
        name="clicks-intake",
        statement_timeout_ms=HOT_STATEMENT_TIMEOUT_MS,
    )
    following = Database(url, role="clicks_intake", pool_size=1, name="clicks-follower")
    catalogue = Catalogue()
    clock = clock_from(settings.clock_file)
    click_keyring = Keyring.load(_required(settings.click_keyring_file, "CLICK_KEYRING_FILE"))
    principal_keyring = Keyring.load(_required(settings.principal_keyring_file, "PRINCIPAL_KEYRING_FILE"))
    desk = ClickDesk(
        catalogue=catalogue,
        keyring=click_keyring,
        privacy_secret=read_privacy_key(_required(settings.privacy_key_file, "PRIVACY_KEY_FILE")),
        robots=RobotMatcher([entry["pattern"] for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA]),
        clock=clock,
        floods=Floods(Limit(settings.limit_click_per_second, settings.limit_click_burst)),
    )
    kafka = (
        KafkaBatchPublisher(settings.kafka_bootstrap_servers, ack_seconds=KAFKA_ACK_SECONDS)
        if settings.broker == "kafka"
        else None
    )
    outbox = OutboxClickSink(intake)
    reads = partial(Database, url, statement_timeout_ms=READ_STATEMENT_TIMEOUT_MS)
    audit = reads(role="clicks_staff", pool_size=1, name="clicks-audit")
    recorder = ClickRecorder([outbox] if kafka is None else [KafkaClickSink(kafka), outbox])
    return Api(
        clock=clock,
        catalogue=catalogue,
        follower=ProjectionFollower(
            following, CatalogueFeed(catalogue, allow_loopback_http=settings.allows_loopback_http)
        ),
        click_keyring=click_keyring,
        principal_keyring=principal_keyring,
        principal_verifier=PrincipalVerifier(principal_keyring, audience="clicks"),
        recorder=recorder,
        kafka=kafka,
        outbox=outbox,
        redirect=RedirectDoor(
            desk,
            recorder,
            ClientAddresses(settings.trusted_proxy_cidrs),
            cookie_is_secure=settings.link_base.startswith("https://"),
        ),
        intake=intake,
        following=following,
        tenants=reads(role="clicks_api", name="clicks-api"),
        staff=reads(role="clicks_staff", pool_size=2, name="clicks-staff"),
        audit=audit,
        denials=DenialLog(audit, _exists, clock),
    )


def build_worker(settings: ClicksSettings) -> Worker:
    """The relay, the consumers and the sweeps."""
    database = Database(settings.database_url("clicks"), role="clicks_worker", pool_size=5, name="clicks-worker")
    erasing = Database(
        settings.database_url("clicks"),
        role="clicks_worker",
        pool_size=2,
        name="clicks-erasure",
        statement_timeout_ms=SCAN_TIMEOUT_MS,
    )
    clock = clock_from(settings.clock_file)
    paying = PayingVersions()
    return Worker(
        relay=Relay(database=database, publisher=build_publisher(settings), service="clicks"),
        catalogue=Consumer(
            name="clicks.catalogue",
            topic=CATALOGUE,
            database=database,
            source=build_event_source(settings, CATALOGUE),
            handler=apply_projection,
            clock=clock,
        ),
        click_log=Consumer(
            name="clicks.click_log",
            topic=CLICKS,
            database=database,
            source=build_event_source(settings, CLICKS),
            handler=ClickLogHandler(paying, clock),
            clock=clock,
            batch_size=LOG_BATCH_CLICKS,
        ),
        erasures=Consumer(
            name="clicks.erasures",
            topic=ERASURES,
            database=erasing,
            source=build_event_source(settings, ERASURES),
            handler=ErasureHandler(clock),
            clock=clock,
            batch_size=ERASURES_AT_A_TIME,
        ),
        missed_erasures=Sweep(
            "missed_erasures",
            erase_missed_clicks,
            database=erasing,
            clock=clock,
            every_seconds=ERASE_MISSED_EVERY_SECONDS,
        ),
        billable_clicks=Sweep(
            "billable_clicks",
            settle_step(paying),
            database=database,
            clock=clock,
            every_seconds=SETTLE_EVERY_SECONDS,
        ),
        retention=Sweep(
            "retention",
            retention_step(click_months=settings.clicks_retention_months),
            database=database,
            clock=clock,
            every_seconds=settings.retention_every_seconds,
        ),
        databases=(database, erasing),
    )


async def _exists(_session: Session, _object_type: str, _object_id: str) -> bool:
    """No route here names one thing of a tenant's by its id."""
    return False


def _required(path: Path | None, name: str) -> Path:
    if path is None:
        raise SettingInvalid(f"{name} is not set")
    return path
