"""The environment of the commissions processes."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from shared.runtime.settings import ProcessSettings


class RateSettings(BaseSettings):
    """exchange_rate_days_max: how many days old a rate may be that is used; 0 takes the day's own only."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    exchange_rate_days_max: int = Field(default=RATE_DAYS_MAX, ge=0, le=31)


class CommissionsSettings(RateSettings, ProcessSettings):
    """What commissions-api and commissions-worker need beyond any process.

    principal_keyring_file: verifies the gateway's principals (the HTTP process only).
    """

    principal_keyring_file: Path | None = None
