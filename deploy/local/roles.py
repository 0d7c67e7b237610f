"""The command table: every process of the platform, what it runs and what of the environment it gets to see.

One row per process, on one machine as in a cluster. The public port is PORT; each other process has a variable of its
own (CLICKS_API_PORT …) and takes a free port where that is not set.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from shared.contracts.topics import TOPICS

SERVICES: Final = ("gateway", "clicks", "conversions", "commissions")
PUBLIC_ROLE: Final = "gateway-api"
PUBLIC_PORT_DEFAULT: Final = 8080


class SecretFile(StrEnum):
    """Files of secrets, by the variable that names them to a process."""

    CLICK_KEYRING = "CLICK_KEYRING_FILE"
    PRINCIPAL_KEYRING = "PRINCIPAL_KEYRING_FILE"
    SEALING_KEYRING = "SEALING_KEYRING_FILE"
    PRIVACY_KEY = "PRIVACY_KEY_FILE"
    BOOTSTRAP_ADMIN_KEY = "BOOTSTRAP_ADMIN_KEY_FILE"


@dataclass(frozen=True, slots=True)
class Role:
    """One process. secrets: the only secret files it is told of."""

    service: str
    kind: Literal["api", "worker"]
    secrets: tuple[SecretFile, ...] = ()

    @property
    def name(self) -> str:
        """Such as `clicks-worker`."""
        return f"{self.service}-{self.kind}"

    @property
    def module(self) -> str:
        """What `python -m` runs."""
        return f"services.{self.service}.{'main' if self.kind == 'api' else 'worker'}"

    @property
    def port_variable(self) -> str:
        """The variable by which its port can be chosen."""
        return "PORT" if self.name == PUBLIC_ROLE else f"{self.name.replace('-', '_').upper()}_PORT"


ROLES: Final[Sequence[Role]] = (
    Role("gateway", "worker"),
    Role("clicks", "worker", (SecretFile.CLICK_KEYRING, SecretFile.PRIVACY_KEY)),
    Role("conversions", "worker", (SecretFile.CLICK_KEYRING, SecretFile.SEALING_KEYRING)),
    Role("commissions", "worker"),
    Role("clicks", "api", (SecretFile.CLICK_KEYRING, SecretFile.PRINCIPAL_KEYRING, SecretFile.PRIVACY_KEY)),
    Role(
        "conversions",
        "api",
        (
            SecretFile.CLICK_KEYRING,
            SecretFile.PRINCIPAL_KEYRING,
            SecretFile.SEALING_KEYRING,
            SecretFile.PRIVACY_KEY,
        ),
    ),
    Role("commissions", "api", (SecretFile.PRINCIPAL_KEYRING, SecretFile.SEALING_KEYRING)),
    Role("gateway", "api", (SecretFile.PRINCIPAL_KEYRING, SecretFile.BOOTSTRAP_ADMIN_KEY)),
)
"""In the order they start: the door opens last, and closes first."""


def producers_read_by(service: str) -> tuple[str, ...]:
    """Services whose outbox `service` reads when the log is the embedded one."""
    producers = {topic.producer for topic in TOPICS.values() if service in topic.consumers}
    return tuple(name for name in SERVICES if name in producers)
