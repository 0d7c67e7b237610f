"""The environment that every process reads; each service's settings extend it."""

from pathlib import Path
from typing import Final, Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

TRACE_RATIO_PRODUCTION: Final = 0.001
"""One in a thousand: enough to follow what is common, without a measured promise of their cost."""


class SettingInvalid(ValueError):
    """A setting that is missing or cannot be used. The message names it, and never its value."""


class ProcessSettings(BaseSettings):
    """What any process needs. Field names are the environment's, in lower case, where no alias says otherwise."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True)

    environment: Literal["production", "local", "test"] = Field(default="production", validation_alias="TRIBUTARY_ENV")
    clock_file: Path | None = Field(default=None, validation_alias="TRIBUTARY_CLOCK")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    trace_sample_ratio: float | None = Field(default=None, ge=0.0, le=1.0)
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=1, le=65_535)
    connections_max: int = Field(default=2_000, ge=10)
    connections_per_address_max: int = Field(default=500, ge=1)
    broker: Literal["kafka", "embedded"] = "kafka"
    kafka_bootstrap_servers: str = ""
    log_id: str = ""
    retention_every_seconds: float = Field(
        default=600.0, ge=1.0, le=86_400.0, validation_alias="TRIBUTARY_RETENTION_EVERY_SECONDS"
    )
    database_url_gateway: SecretStr | None = None
    database_url_clicks: SecretStr | None = None
    database_url_conversions: SecretStr | None = None
    database_url_commissions: SecretStr | None = None

    @model_validator(mode="after")
    def _refuse_unsafe_combinations(self) -> Self:
        if self.clock_file is not None and self.environment != "test":
            raise ValueError("TRIBUTARY_CLOCK is for tests only: set TRIBUTARY_ENV=test, or remove it")
        if self.broker == "kafka" and not self.kafka_bootstrap_servers:
            raise ValueError("BROKER=kafka needs KAFKA_BOOTSTRAP_SERVERS")
        if self.broker == "kafka" and not self.log_id:
            raise ValueError("BROKER=kafka needs LOG_ID, the cluster id that consumers store with their positions")
        return self

    def database_url(self, service: str) -> str:
        """The URL of the database of `service`. Raises SettingInvalid when this process was given none."""
        url = {
            "gateway": self.database_url_gateway,
            "clicks": self.database_url_clicks,
            "conversions": self.database_url_conversions,
            "commissions": self.database_url_commissions,
        }[service]
        if url is None:
            raise SettingInvalid(f"DATABASE_URL_{service.upper()} is not set")
        return url.get_secret_value()

    @property
    def trace_ratio(self) -> float:
        """The share of traces that logs and spans tell of: TRACE_SAMPLE_RATIO, else all of them outside production."""
        if self.trace_sample_ratio is not None:
            return self.trace_sample_ratio
        return TRACE_RATIO_PRODUCTION if self.environment == "production" else 1.0

    @property
    def log_identity(self) -> str:
        """The identity of the event log, which consumers store with their positions and check."""
        return self.log_id or "embedded"
