"""Builds the object graphs of the two gateway processes."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from services.gateway.api.denials import exists
from services.gateway.api.key_desk import KeyDesk
from services.gateway.api.limits import Limits
from services.gateway.api.wiring import Wiring
from services.gateway.clients.upstreams import Upstreams
from services.gateway.consumers.prefunding import PrefundingHandler
from services.gateway.domain.client_address import TrustedProxies
from services.gateway.settings import GatewaySettings
from services.gateway.usecases.forget_answers import AnswerSweep
from shared.contracts.topics import COMMISSIONS
from shared.kernel.token_bucket import Limit
from shared.runtime.audit_denials import DenialLog
from shared.runtime.clock import clock_from
from shared.runtime.consumer import Consumer
from shared.runtime.database import Database
from shared.runtime.database_timeout import HOT_STATEMENT_TIMEOUT_MS, READ_STATEMENT_TIMEOUT_MS
from shared.runtime.event_log import build_publisher
from shared.runtime.event_log.choice import build_event_source
from shared.runtime.keyring import Keyring
from shared.runtime.principal import PrincipalSigner, PrincipalVerifier
from shared.runtime.rate_limit.limiter import LeaseDesk
from shared.runtime.rate_limit.store import forget_quiet_buckets
from shared.runtime.relay import Relay
from shared.runtime.settings import SettingInvalid
from shared.runtime.sweep import Sweep

BOOTSTRAP_KEY_BYTES_MAX: Final = 256
LIMIT_SWEEP_SECONDS: Final = 30.0
INTAKE_CONNECTIONS: Final = 5
"""A key is looked up once a second at most, in one short statement; one connection asks for the limits' tokens."""


@dataclass(frozen=True, slots=True)
class Api:
    """What the HTTP process works with."""

    wiring: Wiring
    intake: Database
    audit: Database
    denials: DenialLog
    limits: Limits
    lease_desk: LeaseDesk
    proxies: TrustedProxies
    upstreams: Upstreams
    principal_keyring: Keyring
    signer: PrincipalSigner
    verifier: PrincipalVerifier
    bootstrap_key: str | None

    async def close(self) -> None:
        """Give the limits' tokens back and let go of every connection."""
        await self.lease_desk.close()
        for database in (self.wiring.staff, self.wiring.tenants, self.intake, self.audit):
            await database.close()


@dataclass(frozen=True, slots=True)
class Worker:
    """What the background process runs."""

    relay: Relay
    prefunding: Consumer
    answer_sweep: AnswerSweep
    limit_sweep: Sweep
    database: Database


def build_api(settings: GatewaySettings) -> Api:
    """The door and the control plane. Raises ValueError or KeyringInvalid for a setting that is missing or bad."""
    if settings.principal_keyring_file is None:
        raise SettingInvalid("PRINCIPAL_KEYRING_FILE is not set")
    url = settings.database_url("gateway")
    clock = clock_from(settings.clock_file)
    intake = Database(
        url,
        role="gateway_intake",
        pool_size=INTAKE_CONNECTIONS,
        name="gateway-intake",
        statement_timeout_ms=HOT_STATEMENT_TIMEOUT_MS,
    )
    reads = partial(Database, url, statement_timeout_ms=READ_STATEMENT_TIMEOUT_MS)
    audit = reads(role="gateway_staff", pool_size=1, name="gateway-audit")
    keyring = Keyring.load(settings.principal_keyring_file)
    lease_desk = LeaseDesk(intake, shares_max=settings.limit_buckets_max)
    wiring = Wiring(
        staff=reads(role="gateway_staff", name="gateway-staff"),
        tenants=reads(role="gateway_api", name="gateway-api"),
        clock=clock,
        key_desk=KeyDesk(intake, clock),
        allow_loopback_http=settings.allows_loopback_http,
    )
    return Api(
        wiring=wiring,
        intake=intake,
        audit=audit,
        denials=DenialLog(audit, exists, clock),
        limits=_limits(settings, lease_desk, keyring),
        lease_desk=lease_desk,
        proxies=TrustedProxies(settings.trusted_proxy_cidrs),
        upstreams=Upstreams.at(
            clicks=settings.clicks_url, conversions=settings.conversions_url, commissions=settings.commissions_url
        ),
        principal_keyring=keyring,
        signer=PrincipalSigner(keyring),
        verifier=PrincipalVerifier(keyring, audience="gateway"),
        bootstrap_key=_read_bootstrap_key(settings.bootstrap_admin_key_file),
    )


def build_worker(settings: GatewaySettings) -> Worker:
    """The relay of the catalogue, what merchants' balances say of their offers, and the sweeps."""
    database = Database(settings.database_url("gateway"), role="gateway_worker", name="gateway-worker")
    clock = clock_from(settings.clock_file)
    return Worker(
        relay=Relay(database=database, publisher=build_publisher(settings), service="gateway"),
        prefunding=Consumer(
            name="gateway.prefunding",
            topic=COMMISSIONS,
            database=database,
            source=build_event_source(settings, COMMISSIONS),
            handler=PrefundingHandler(clock),
            clock=clock,
        ),
        answer_sweep=AnswerSweep(database, clock),
        limit_sweep=Sweep(
            "limits", forget_quiet_buckets, database=database, clock=clock, every_seconds=LIMIT_SWEEP_SECONDS
        ),
        database=database,
    )


def _limits(settings: GatewaySettings, desk: LeaseDesk, keyring: Keyring) -> Limits:
    return Limits.of(
        desk,
        key=Limit(settings.limit_key_per_second, settings.limit_key_burst),
        address=Limit(settings.limit_address_per_second, settings.limit_address_burst),
        failure=Limit(settings.limit_failure_per_second, settings.limit_failure_burst),
        secret=lambda: keyring.signing.secret,
    )


def _read_bootstrap_key(path: Path | None) -> str | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(BOOTSTRAP_KEY_BYTES_MAX)
    except OSError:
        raise SettingInvalid(f"BOOTSTRAP_ADMIN_KEY_FILE: {path.name} cannot be read") from None
    return content.decode("ascii", "replace").strip()
