"""The environment of the gateway processes."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.runtime.settings import ProcessSettings


class GatewaySettings(ProcessSettings):
    """What gateway-api and gateway-worker need beyond any process.

    principal_keyring_file: signs principals. clicks_url, conversions_url, commissions_url: the services behind us.
    trusted_proxy_cidrs: whose X-Forwarded-For is believed, comma-separated. bootstrap_admin_key_file: the first admin
    key, whole, used while there is no other. limit_*: requests a second and burst, per API key, per client address on
    anonymous routes (never the redirect), and failed authentications per address.
    """

    principal_keyring_file: Path | None = None
    clicks_url: str = "http://127.0.0.1:8081"
    conversions_url: str = "http://127.0.0.1:8082"
    commissions_url: str = "http://127.0.0.1:8083"
    bootstrap_admin_key_file: Path | None = None
    trusted_proxy_cidrs: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(default=())
    limit_key_per_second: float = Field(default=200, gt=0)
    limit_key_burst: int = Field(default=2_000, ge=1)
    limit_address_per_second: float = Field(default=5_000, gt=0)
    limit_address_burst: int = Field(default=10_000, ge=1)
    limit_failure_per_second: float = Field(default=0.5, gt=0)
    limit_failure_burst: int = Field(default=10, ge=1)
    limit_buckets_max: int = Field(default=50_000, ge=100)

    @field_validator("trusted_proxy_cidrs", mode="before")
    @classmethod
    def _read_networks(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
        return value

    @property
    def allows_loopback_http(self) -> bool:
        """Offers may lead to plain http on this very machine."""
        return self.environment in ("local", "test")
