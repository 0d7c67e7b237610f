"""Addresses a shopper may be sent to: one strict reading of a URL, by the WHATWG rules that browsers follow."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from ada_url import URL, HostType

from shared.kernel.errors import InvalidValue

URL_CHARACTERS_MAX: Final = 2_048
"""Longest deep link; browsers and servers agree on about this much."""

_WEB_START = re.compile(r"https?://[^/\\?#@]", re.IGNORECASE | re.ASCII)
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\xa0\\\u2028\u2029\ufeff\ud800-\udfff]")
_ADDRESS_SAFE = re.compile(r"[\x21-\x7e]+", re.ASCII)
_LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


class AddressRefused(InvalidValue):
    """An address no shopper is sent to. Codes: url_malformed, url_not_https, url_host_not_allowed."""


@dataclass(frozen=True, slots=True)
class WebAddress:
    """An absolute web address, canonical and pure ASCII. port: "" for the scheme's own. fragment: with its `#`."""

    scheme: str
    host: str
    port: str
    path: str
    query: str
    fragment: str

    @property
    def origin(self) -> str:
        """`https://shop.example`, with the port where it is not the scheme's own."""
        return f"{self.scheme}://{self.host}:{self.port}" if self.port else f"{self.scheme}://{self.host}"

    @property
    def before_fragment(self) -> str:
        """Everything up to the fragment."""
        return f"{self.origin}{self.path}{self.query}"

    def __str__(self) -> str:
        return self.before_fragment + self.fragment


def read_web_address(text: str, *, allow_loopback_http: bool, field: str = "url") -> WebAddress:
    """The address that a browser would go to for `text`.

    https only; http for a loopback host where allow_loopback_http (never in production). No user info, no blanks, no
    control characters, no backslash: what two readers could read differently is refused, not repaired. One trailing
    dot of the host is dropped. Raises AddressRefused naming `field`.
    """
    if len(text) > URL_CHARACTERS_MAX or not _WEB_START.match(text) or _UNSAFE.search(text):
        raise AddressRefused(field, "url_malformed", "must be an absolute https URL of at most 2048 characters")
    try:
        url = URL(text)
    except (ValueError, UnicodeEncodeError):
        raise AddressRefused(field, "url_malformed", "is not a URL") from None
    scheme, host = url.protocol[:-1], url.hostname.removesuffix(".")
    address = WebAddress(scheme, host, url.port, url.pathname, url.search, url.hash)
    if url.username or url.password or "@" in _authority_of(text):
        raise AddressRefused(field, "url_malformed", "must not carry a user name")
    if not host or not _ADDRESS_SAFE.fullmatch(str(address)):
        raise AddressRefused(field, "url_malformed", "is not a URL")
    is_loopback = host in _LOOPBACK_HOSTS
    if scheme != "https" and not (scheme == "http" and is_loopback and allow_loopback_http):
        raise AddressRefused(field, "url_not_https", "must be https")
    if url.host_type != HostType.DEFAULT and not is_loopback:
        raise AddressRefused(field, "url_host_not_allowed", "must name a host, not an IP address")
    return address


def _authority_of(text: str) -> str:
    return re.split(r"[/?#]", text.partition("://")[2], maxsplit=1)[0]


class AllowedHosts:
    """The hosts one offer version's deep links may lead to: exact names, each with its port where it has one."""

    def __init__(self, names: Iterable[str], *, allow_loopback_http: bool) -> None:
        self.names = tuple(names)
        self._allow_loopback_http = allow_loopback_http
        self._exact: set[tuple[str, str]] = set()
        for name in self.names:
            try:
                address = read_web_address(f"https://{name}/", allow_loopback_http=allow_loopback_http)
            except AddressRefused:
                continue  # an entry that is no host allows nothing
            self._exact.add((address.host, address.port))

    def read_deep_link(self, text: str, *, field: str = "url") -> WebAddress:
        """The address of a deep link. Raises AddressRefused unless its host is exactly one of these."""
        address = read_web_address(text, allow_loopback_http=self._allow_loopback_http, field=field)
        if (address.host, address.port) in self._exact:
            return address
        if self._allow_loopback_http and address.host in _LOOPBACK_HOSTS and (address.host, "") in self._exact:
            return address  # demo shops on this machine live on any port
        raise AddressRefused(field, "url_host_not_allowed", "must lead to one of the offer's allowed hosts")
