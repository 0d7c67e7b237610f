"""The environment of the commissions processes."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.domain.statement_document import NETWORK, Letterhead
from shared.runtime.settings import ProcessSettings


class RateSettings(BaseSettings):
    """exchange_rate_days_max: how many days old a rate may be that is used; 0 takes the day's own only."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    exchange_rate_days_max: int = Field(default=RATE_DAYS_MAX, ge=0, le=31)


class CommissionsSettings(RateSettings, ProcessSettings):
    """What commissions-api and commissions-worker need beyond any process.

    principal_keyring_file: verifies the gateway's principals (the HTTP process only). network_name, network_address
    (its lines, separated by `;`), network_tax_id: the letterhead of statements.
    """

    principal_keyring_file: Path | None = None
    network_name: str = Field(default=NETWORK.name, min_length=1, max_length=200)
    network_address: str = Field(default="", max_length=500)
    network_tax_id: str = Field(default="", max_length=40)

    @property
    def issuer(self) -> Letterhead:
        """Whose paper statements are."""
        lines = tuple(line.strip() for line in self.network_address.split(";") if line.strip())
        return Letterhead(self.network_name, lines, self.network_tax_id or None)
