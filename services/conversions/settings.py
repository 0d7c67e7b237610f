"""The environment of the conversions processes."""

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.runtime.settings import ProcessSettings


class ConversionsSettings(ProcessSettings):
    """What conversions-api and conversions-worker need beyond any process.

    click_keyring_file: verifies click IDs. principal_keyring_file: verifies the gateway's principals.
    sealing_keyring_file: seals postback secrets. privacy_key_file: keys the hashes of customers and of values that
    look personal; never changed, or merchants' repeats are no longer known. trusted_proxy_cidrs: whose
    X-Forwarded-For is believed.
    """

    click_keyring_file: Path | None = None
    principal_keyring_file: Path | None = None
    sealing_keyring_file: Path | None = None
    privacy_key_file: Path | None = None
    trusted_proxy_cidrs: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = Field(default=())

    @field_validator("trusted_proxy_cidrs", mode="before")
    @classmethod
    def _read_networks(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(ip_network(part.strip(), strict=False) for part in value.split(",") if part.strip())
        return value
