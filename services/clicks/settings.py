"""The environment of the clicks processes."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.clicks.usecases.answer_click import CLICKS_OF_AN_ADDRESS
from shared.runtime.settings import ProcessSettings

CLICK_MONTHS: Final = 13
"""A year's comparison with the month before it. The window of no offer is longer, and credit needs no row (I6)."""


class ClicksSettings(ProcessSettings):
    """What clicks-api and clicks-worker need beyond any process.

    click_keyring_file: signs click IDs. principal_keyring_file: verifies the gateway's principals. privacy_key_file:
    keys the hashes of addresses and cookies. public_url, tracking_url: base of referral links, the second first.
    trusted_proxy_cidrs: whose X-Forwarded-For is believed, comma-separated. clicks_retention_months: age at which a
    whole month of the click log is dropped.
    limit_click_*: clicks a second and burst of one address in one process; those beyond are flagged, never refused.
    """

    click_keyring_file: Path | None = None
    principal_keyring_file: Path | None = None
    privacy_key_file: Path | None = None
    limit_click_per_second: float = Field(default=CLICKS_OF_AN_ADDRESS.tokens_per_second, gt=0)
    limit_click_burst: int = Field(default=CLICKS_OF_AN_ADDRESS.burst, ge=1)
    public_url: str = "http://127.0.0.1:8080"
    tracking_url: str = ""
    trusted_proxy_cidrs: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(default=())

    clicks_retention_months: int = Field(default=CLICK_MONTHS, ge=2, le=120)

    @field_validator("trusted_proxy_cidrs", mode="before")
    @classmethod
    def _read_networks(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
        return value

    @property
    def link_base(self) -> str:
        """Where referral links start, without a slash at the end."""
        return (self.tracking_url or self.public_url).rstrip("/")

    @property
    def allows_loopback_http(self) -> bool:
        """Landing pages may be plain http on this very machine."""
        return self.environment in ("local", "test")
