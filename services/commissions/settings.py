"""The environment of the commissions processes."""

from datetime import timedelta
from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.commissions.domain.bank_details import parse_bic, parse_iban
from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.domain.payout_batch import Debtor
from services.commissions.domain.payout_policy import PayoutPolicy
from services.commissions.domain.statement_document import NETWORK, Letterhead
from shared.runtime.settings import ProcessSettings, SettingInvalid


class RateSettings(BaseSettings):
    """exchange_rate_days_max: how many days old a rate may be that is used; 0 takes the day's own only."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    exchange_rate_days_max: int = Field(default=RATE_DAYS_MAX, ge=0, le=31)


class PayoutEnvironment(BaseSettings):
    """sealing_keyring_file: seals affiliates' bank details (the HTTP process only).

    payout_cooling_off_days: how long changed details wait. payout_cure_days: how long a balance may stay negative
    before it stops payouts. payer_…: the network's own account, which bank files pay from.
    """

    model_config = SettingsConfigDict(frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True)

    sealing_keyring_file: Path | None = None
    payout_cooling_off_days: int = Field(default=3, ge=0, le=90, validation_alias="COMMISSIONS_PAYOUT_COOLING_OFF_DAYS")
    payout_cure_days: int = Field(default=30, ge=0, le=3_650, validation_alias="COMMISSIONS_PAYOUT_CURE_DAYS")
    payer_name: str = Field(default="", validation_alias="COMMISSIONS_PAYER_NAME")
    payer_iban: str = Field(default="", validation_alias="COMMISSIONS_PAYER_IBAN", repr=False)
    payer_bic: str = Field(default="", validation_alias="COMMISSIONS_PAYER_BIC")

    def payout_policy(self) -> PayoutPolicy:
        """What the environment says of payouts. Raises SettingInvalid, InvalidValue naming the variable."""
        payer = None
        if self.payer_iban or self.payer_name:
            if not self.payer_name or not self.payer_iban:
                raise SettingInvalid("COMMISSIONS_PAYER_NAME and COMMISSIONS_PAYER_IBAN belong together")
            iban = parse_iban(self.payer_iban, field="COMMISSIONS_PAYER_IBAN")
            bic = parse_bic(self.payer_bic, field="COMMISSIONS_PAYER_BIC") if self.payer_bic else None
            payer = Debtor(name=self.payer_name, iban=iban, bic=bic, country=iban[:2])
        return PayoutPolicy(
            cooling_off=timedelta(days=self.payout_cooling_off_days),
            cure=timedelta(days=self.payout_cure_days),
            payer=payer,
        )


class CommissionsSettings(RateSettings, PayoutEnvironment, ProcessSettings):
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
