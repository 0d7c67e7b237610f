"""What each process is told: its own databases, ports, keys and nothing of the others'."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

from deploy.local.broker_choice import BrokerChoice
from deploy.local.ports import free_port, is_free
from deploy.local.problem import PlainProblem
from deploy.local.roles import PUBLIC_PORT_DEFAULT, PUBLIC_ROLE, ROLES, SERVICES, Role, SecretFile, producers_read_by

LOOPBACK: Final = "127.0.0.1"
PASSED_ON: Final = frozenset(
    {"PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LOG_LEVEL", "TRACE_SAMPLE_RATIO", "TRIBUTARY_CLOCK"}
)
"""What of the caller's environment every process may see; secrets of the caller's shell are none of their business."""

PASSED_ON_PREFIXES: Final = (
    "PYTHON",
    "OTEL_",
    "TRIBUTARY_",
    "LIMIT_",
    "CONNECTIONS_",
    *(f"{service.upper()}_" for service in SERVICES),
)


@dataclass(frozen=True, slots=True)
class NetworkPlan:
    """Everything the processes of one local network are told.

    host: the public door's; the others listen on loopback. ports: by role name. database_urls: by service, as that
    service's own login. secrets: path by kind.
    """

    host: str
    ports: Mapping[str, int]
    database_urls: Mapping[str, str]
    broker: BrokerChoice
    secrets: Mapping[SecretFile, Path]
    public_url: str
    caller: Mapping[str, str] = field(default_factory=dict)

    @property
    def local_url(self) -> str:
        """The public door as this machine reaches it, whatever the world calls it."""
        return public_url({}, host=self.host, port=self.ports[PUBLIC_ROLE])

    def own_url(self, role: Role) -> str:
        """One process as this machine reaches it."""
        host = self.host if role.name == PUBLIC_ROLE else LOOPBACK
        return public_url({}, host=host, port=self.ports[role.name])

    def environment(self, role: Role) -> dict[str, str]:
        """The whole environment of one process."""
        environment = {name: value for name, value in self.caller.items() if _is_passed_on(name)}
        environment |= {
            "TRIBUTARY_ENV": self.caller.get("TRIBUTARY_ENV") or "local",
            "HOST": self.host if role.name == PUBLIC_ROLE else LOOPBACK,
            "PORT": str(self.ports[role.name]),
            "PUBLIC_URL": self.public_url,
            "TRACKING_URL": self.caller.get("TRACKING_URL") or self.public_url,
            "BROKER": self.broker.kind,
            "LOG_ID": self.broker.log_id,
            "TRUSTED_PROXY_CIDRS": self._trusted_proxies(role),
            "PYTHONUNBUFFERED": "1",
        }
        if self.broker.kind == "kafka":
            environment["KAFKA_BOOTSTRAP_SERVERS"] = self.broker.bootstrap_servers
        environment |= {kind.value: str(self.secrets[kind]) for kind in role.secrets}
        environment |= self._databases(role)
        if role.name == PUBLIC_ROLE:
            for service in SERVICES[1:]:
                environment[f"{service.upper()}_URL"] = f"http://{LOOPBACK}:{self.ports[f'{service}-api']}"
        return environment

    def _databases(self, role: Role) -> dict[str, str]:
        own = self.database_urls[role.service]
        urls = {f"DATABASE_URL_{role.service.upper()}": own}
        if self.broker.kind == "embedded":
            for producer in producers_read_by(role.service):
                url = as_login_of(own, self.database_urls[producer])
                urls[f"DATABASE_URL_{producer.upper()}"] = url
        return urls

    def _trusted_proxies(self, role: Role) -> str:
        """The gateway believes only the proxies it was told of; the services behind it believe the gateway."""
        told = self.caller.get("TRUSTED_PROXY_CIDRS", "")
        if role.name == PUBLIC_ROLE:
            return told
        return ",".join(filter(None, (f"{LOOPBACK}/32", told)))


def as_login_of(own_url: str, other_url: str) -> str:
    """`other_url`'s server and database with the user and password of `own_url`."""
    own, other = urlsplit(own_url), urlsplit(other_url)
    credentials, separator, _ = own.netloc.rpartition("@")
    place = other.netloc.rpartition("@")[2]
    return urlunsplit(other._replace(netloc=f"{credentials}{separator}{place}"))


def choose_ports(caller: Mapping[str, str], *, host: str) -> dict[str, int]:
    """A port for every process. PORT=0 takes a free one. Raises: PlainProblem when a chosen port is taken or absurd."""
    ports: dict[str, int] = {}
    for role in ROLES:
        is_public = role.name == PUBLIC_ROLE
        chosen = caller.get(role.port_variable) or (str(PUBLIC_PORT_DEFAULT) if is_public else "0")
        if not chosen.isdigit() or int(chosen) > 65_535:
            raise PlainProblem(f"{role.port_variable}={chosen} is not a port.", "Use a number from 1 to 65535.")
        address = host if is_public else LOOPBACK
        port = int(chosen) or _another_free_port(address, set(ports.values()))
        if not is_free(address, port):
            raise PlainProblem(
                f"Port {port} is taken by another program.",
                f"Choose another: {role.port_variable}={_another_free_port(address, set(ports.values()))} make run",
            )
        ports[role.name] = port
    return ports


def public_url(caller: Mapping[str, str], *, host: str, port: int) -> str:
    """PUBLIC_URL if it is set, else an address by which this machine reaches the public door."""
    name = LOOPBACK if host in {"0.0.0.0", "::", ""} else host  # noqa: S104 - compared with, not bound to
    return (caller.get("PUBLIC_URL") or f"http://{f'[{name}]' if ':' in name else name}:{port}").rstrip("/")


def _another_free_port(host: str, taken: Collection[int]) -> int:
    port = free_port(host)
    while port in taken:
        port = free_port(host)
    return port


def _is_passed_on(name: str) -> bool:
    return name in PASSED_ON or name.startswith(PASSED_ON_PREFIXES)
