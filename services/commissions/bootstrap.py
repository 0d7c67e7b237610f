"""Builds the object graphs of the two commissions processes."""

from dataclasses import dataclass
from typing import Final

from services.commissions.consumers.catalogue import CatalogueHandler
from services.commissions.consumers.conversions import ConversionsHandler
from services.commissions.domain.payout_policy import PayoutPolicy
from services.commissions.domain.statement_document import Letterhead
from services.commissions.settings import CommissionsSettings
from services.commissions.storage.foreign import exists
from services.commissions.storage.idempotency_store import forget_kept_answers
from services.commissions.usecases.close_period import close_passed_periods
from services.commissions.usecases.count_waiting import count_waiting
from services.commissions.usecases.finalise_statements import finalise_statements
from services.commissions.usecases.find_offer_versions import OfferVersions
from services.commissions.usecases.hash_statement_files import hash_next_file
from services.commissions.usecases.record_payment import apply_prepaid
from services.commissions.usecases.settle_month import settle_month
from services.commissions.usecases.watch_ledger import LedgerWatch
from services.commissions.usecases.watch_prefunding import watch_prefunding
from shared.contracts.topics import CATALOGUE, CONVERSIONS
from shared.kernel.clock import Clock
from shared.runtime.audit_denials import DenialLog
from shared.runtime.clock import clock_from
from shared.runtime.consumer import Consumer
from shared.runtime.database import Database, Session
from shared.runtime.event_log.choice import build_event_source, build_publisher
from shared.runtime.keyring import Keyring
from shared.runtime.principal import PrincipalVerifier
from shared.runtime.relay import Relay
from shared.runtime.retention import first_with_work, forget_letters
from shared.runtime.settings import SettingInvalid
from shared.runtime.sweep import Step, Sweep

PERIOD_CLOSE_SECONDS: Final = 30.0
"""How often a worker looks whether a month has passed."""

WAITING_COUNT_SECONDS: Final = 15.0
LEDGER_LOOK_SECONDS: Final = 15.0
PREFUNDING_LOOK_SECONDS: Final = 2.0
"""How long a merchant may spend past its prepaid balance before its offers pause, beside the log's own delay."""


@dataclass(frozen=True, slots=True)
class Api:
    """What the HTTP process works with. tenants: as a merchant or an affiliate; staff: as admin or finance."""

    tenants: Database
    staff: Database
    audit: Database
    denials: DenialLog
    principal_keyring: Keyring
    principal_verifier: PrincipalVerifier
    sealing_keyring: Keyring
    payout_policy: PayoutPolicy

    async def close(self) -> None:
        """Let go of every connection."""
        for database in (self.tenants, self.staff, self.audit):
            await database.close()


@dataclass(frozen=True, slots=True)
class Worker:
    """What the background process runs."""

    relay: Relay
    catalogue: Consumer
    conversions: Consumer
    period_close: Sweep
    waiting: Sweep
    ledger: Sweep
    prefunding: Sweep
    month_end: Sweep
    statements: Sweep
    statement_files: Sweep
    retention: Sweep
    database: Database


def build_api(settings: CommissionsSettings) -> Api:
    """The JSON routes. Raises ValueError or KeyringInvalid for a setting that is missing or bad."""
    if settings.principal_keyring_file is None:
        raise SettingInvalid("PRINCIPAL_KEYRING_FILE is not set")
    if settings.sealing_keyring_file is None:
        raise SettingInvalid("SEALING_KEYRING_FILE is not set")
    url = settings.database_url("commissions")
    keyring = Keyring.load(settings.principal_keyring_file)
    audit = Database(url, role="commissions_staff", pool_size=1, name="commissions-audit")
    return Api(
        tenants=Database(url, role="commissions_api", name="commissions-api"),
        staff=Database(url, role="commissions_staff", name="commissions-staff"),
        audit=audit,
        denials=DenialLog(audit, exists, clock_from(settings.clock_file)),
        principal_keyring=keyring,
        principal_verifier=PrincipalVerifier(keyring, audience="commissions"),
        sealing_keyring=Keyring.load(settings.sealing_keyring_file),
        payout_policy=settings.payout_policy(),
    )


def build_worker(settings: CommissionsSettings) -> Worker:
    """The relay, the two consumers and the sweeps."""
    database = Database(settings.database_url("commissions"), role="commissions_worker", name="commissions-worker")
    clock, offer_versions = clock_from(settings.clock_file), OfferVersions()
    return Worker(
        relay=Relay(database=database, publisher=build_publisher(settings), service="commissions"),
        catalogue=Consumer(
            name="commissions.catalogue",
            topic=CATALOGUE,
            database=database,
            source=build_event_source(settings, CATALOGUE),
            handler=CatalogueHandler(offer_versions, clock, rate_days_max=settings.exchange_rate_days_max),
            clock=clock,
        ),
        conversions=Consumer(
            name="commissions.conversions",
            topic=CONVERSIONS,
            database=database,
            source=build_event_source(settings, CONVERSIONS),
            handler=ConversionsHandler(offer_versions, clock, rate_days_max=settings.exchange_rate_days_max),
            clock=clock,
        ),
        period_close=Sweep(
            "period_close", _close_periods, database=database, clock=clock, every_seconds=PERIOD_CLOSE_SECONDS
        ),
        waiting=Sweep("waiting", _count_waiting, database=database, clock=clock, every_seconds=WAITING_COUNT_SECONDS),
        ledger=Sweep("ledger", LedgerWatch().step, database=database, clock=clock, every_seconds=LEDGER_LOOK_SECONDS),
        month_end=Sweep("month_end", settle_month, database=database, clock=clock, every_seconds=PERIOD_CLOSE_SECONDS),
        prefunding=Sweep(
            "prefunding",
            watch_prefunding,
            database=database,
            clock=clock,
            every_seconds=PREFUNDING_LOOK_SECONDS,
        ),
        statements=Sweep(
            "statements",
            _finaliser(settings.issuer),
            database=database,
            clock=clock,
            every_seconds=PERIOD_CLOSE_SECONDS,
        ),
        statement_files=Sweep(
            "statement_files", hash_next_file, database=database, clock=clock, every_seconds=PERIOD_CLOSE_SECONDS
        ),
        retention=Sweep(
            "retention",
            first_with_work(forget_kept_answers, forget_letters),
            database=database,
            clock=clock,
            every_seconds=settings.retention_every_seconds,
        ),
        database=database,
    )


async def _close_periods(session: Session, clock: Clock) -> int:
    now = clock.now()
    closed = await close_passed_periods(session, now)
    if closed:
        await apply_prepaid(session, now=now)
    return len(closed)


def _finaliser(issuer: Letterhead) -> Step:
    async def step(session: Session, clock: Clock) -> int:
        return await finalise_statements(session, clock.now(), issuer=issuer)

    return step


async def _count_waiting(session: Session, _: Clock) -> int:
    await count_waiting(session)
    return 0
