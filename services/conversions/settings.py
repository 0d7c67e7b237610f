"""The environment of the conversions processes."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.runtime.settings import ProcessSettings

RECEIPT_MONTHS: Final = 13
"""A merchant's dispute over last year's order can still be answered with what was sent and what was said."""

CLICK_DETAIL_DAYS: Final = 400
"""As long as the click log: a postback later than that is credited all the same, without the click's sub IDs."""

UNAUTHENTICATED_DAYS: Final = 30
"""For debugging a signature; the last hundred per merchant at most."""


class ConversionsSettings(ProcessSettings):
    """What conversions-api and conversions-worker need beyond any process.

    click_keyring_file: verifies click IDs. principal_keyring_file: verifies the gateway's principals.
    sealing_keyring_file: seals postback secrets. privacy_key_file: keys the hashes of customers and of values that
    look personal; never changed, or merchants' repeats are no longer known. trusted_proxy_cidrs: whose
    X-Forwarded-For is believed. conversions_receipt_months, conversions_click_detail_days,
    conversions_unauthenticated_days: how long those are kept (docs/privacy.md).
    limit_merchant_*: postbacks a second and burst of one merchant, over all processes; at least a whole batch.
    """

    click_keyring_file: Path | None = None
    principal_keyring_file: Path | None = None
    sealing_keyring_file: Path | None = None
    limit_merchant_per_second: float = Field(default=500, gt=0)
    limit_merchant_burst: int = Field(default=5_000, ge=100)
    privacy_key_file: Path | None = None
    trusted_proxy_cidrs: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(default=())

    conversions_receipt_months: int = Field(default=RECEIPT_MONTHS, ge=2, le=120)
    conversions_click_detail_days: int = Field(default=CLICK_DETAIL_DAYS, ge=31, le=3_650)
    conversions_unauthenticated_days: int = Field(default=UNAUTHENTICATED_DAYS, ge=1, le=3_650)

    @field_validator("trusted_proxy_cidrs", mode="before")
    @classmethod
    def _read_networks(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
        return value
