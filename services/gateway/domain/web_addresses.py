"""Addresses an offer may send shoppers to, read as browsers read them (WHATWG); what could surprise is refused."""

import re
from typing import Final

from ada_url import URL, HostType

from shared.kernel.errors import InvalidValue

URL_CHARACTERS_MAX: Final = 2_048
MACROS: Final = frozenset(
    {"click_id", "affiliate_id", "offer_id", "source", "timestamp", *(f"sub{number}" for number in range(1, 11))}
)

_PLAIN = re.compile(r"[\x21-\x5b\x5d-\x7e]+", re.ASCII)
_ADDRESS = re.compile(r"(https?)://([^/?#]+)([/?#].*)?", re.ASCII)
_HOST_AND_PORT = re.compile(r"([^:]+|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?", re.ASCII)
_HOST_NAME = re.compile(r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}", re.ASCII)
_MACRO = re.compile(r"\{([^{}]*)\}")
_LOOPBACK_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})


def check_host_name(name: str, *, allow_loopback: bool, field: str) -> str:
    """`name` itself if it is a plain lower-case host name (punycode for others' scripts). Raises InvalidValue."""
    if allow_loopback and name in _LOOPBACK_HOSTS:
        return name
    if not _HOST_NAME.fullmatch(name) or not _browser_agrees(f"https://{name}/", host=name):
        raise InvalidValue(field, "host_invalid", "must be a lower-case host name such as www.shop.example")
    return name


def check_address(text: str, *, allow_loopback_http: bool, field: str) -> str:
    """`text` itself if it is an absolute https URL on a host name, in plain ASCII, that a browser reads as written.

    No user name, no IP address, no backslash or blank; http only on loopback where allowed. Raises InvalidValue.
    """
    if not text or len(text) > URL_CHARACTERS_MAX or not _PLAIN.fullmatch(text):
        raise InvalidValue(field, "url_malformed", f"must be a URL of at most {URL_CHARACTERS_MAX} plain characters")
    parts = _ADDRESS.fullmatch(text)
    authority = _HOST_AND_PORT.fullmatch(parts[2]) if parts else None
    if parts is None or authority is None:
        raise InvalidValue(field, "url_malformed", "must be an absolute https URL with a plain host name")
    host, port = authority[1], int(authority[2] or "443")
    if parts[1] == "http" and not (allow_loopback_http and host in _LOOPBACK_HOSTS):
        raise InvalidValue(field, "url_not_https", "must be https")
    check_host_name(host, allow_loopback=allow_loopback_http, field=field)
    if port > 65_535 or not _browser_agrees(text, host=host):
        raise InvalidValue(field, "url_malformed", "is not a URL")
    return text


def check_landing_template(template: str, *, allow_loopback_http: bool) -> str:
    """`template` itself if its host is fixed and every `{macro}` after it is a known one. Raises InvalidValue."""
    field = "landing_template"
    authority_end = re.match(r"[a-zA-Z]+://[^/?#]*", template)
    if "{" in (authority_end[0] if authority_end else template[:1]):
        raise InvalidValue(field, "template_host_not_fixed", "macros may stand only after the host")
    unknown = [name for name in _MACRO.findall(template) if name not in MACROS]
    filled = _MACRO.sub("0", template)
    if unknown or "{" in filled or "}" in filled:
        raise InvalidValue(field, "template_macro_unknown", f"knows the macros {{{'}, {'.join(sorted(MACROS))}}}")
    check_address(filled, allow_loopback_http=allow_loopback_http, field=field)
    if len(template) > URL_CHARACTERS_MAX:
        raise InvalidValue(field, "url_malformed", f"must have at most {URL_CHARACTERS_MAX} characters")
    return template


def _browser_agrees(text: str, *, host: str) -> bool:
    """Does a browser's parser find exactly this host, as a name (or an allowed loopback address)?"""
    try:
        url = URL(text)
    except (ValueError, UnicodeEncodeError):
        return False
    is_name = url.host_type == HostType.DEFAULT or host in _LOOPBACK_HOSTS
    return url.hostname == host and is_name and not url.username and not url.password
