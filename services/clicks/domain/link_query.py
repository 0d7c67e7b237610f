"""The parameters of a referral link, as they arrive in its query."""

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_plus

from services.clicks.domain.landing import SUB_NAMES
from shared.kernel.personal_values import Screen, may_be_personal

PARAMETERS_MAX: Final = 64
"""Parameters read of one link; the rest is ignored."""

VALUE_CHARACTERS_MAX: Final = 255
URL_CHARACTERS_MAX: Final = 2_048
AD_CLICK_ID_NAMES: Final = frozenset(
    {"gclid", "gad_source", "gad_campaignid", "fbclid", "msclkid", "ttclid", "twclid", "li_fat_id", "rdclid"}
)
_SUBS: Final = frozenset(SUB_NAMES)
_UTM = re.compile(r"utm_[a-z0-9_]{1,40}", re.ASCII)
_UNPRINTABLE: Final = {
    **dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFFFE, 0xFFFF)),
    **dict.fromkeys(range(0xD800, 0xE000)),
}


@dataclass(slots=True)
class LinkQuery:
    """What a link carries. subs: by name. passed: what travels on to the landing page, ad_click_ids among it.

    consent: True and False as given, None where nothing was said. deep_link: unjudged, "" where there is none.
    """

    subs: dict[str, str] = field(default_factory=dict)
    passed: dict[str, str] = field(default_factory=dict)
    ad_click_ids: dict[str, str] = field(default_factory=dict)
    aff_click_id: str | None = None
    source: str | None = None
    creative: str | None = None
    deep_link: str = ""
    wants_json: bool = False
    consent: bool | None = None
    is_test: bool = False


def clean_text(text: str, characters_max: int = VALUE_CHARACTERS_MAX) -> str:
    """`text` without control characters and line breaks, cut to its limit."""
    if not text.isprintable():
        text = text.translate(_UNPRINTABLE)
    return text[:characters_max]


def screen_labels(query: LinkQuery, screen: Screen) -> None:
    """Replace what looks personal in the affiliate's labels: they become part of the financial record (ADR 0009)."""
    single = (query.aff_click_id or "", query.source or "", query.creative or "")
    if not (query.subs or any(single)) or not may_be_personal((*single, *query.subs.values())):
        return
    query.subs = screen.mapping(query.subs)
    query.aff_click_id = screen.optional(query.aff_click_id)
    query.source = screen.optional(query.source)
    query.creative = screen.optional(query.creative)


def read_link_query(raw: bytes) -> LinkQuery:
    """The parameters in a raw query string. Refuses nothing: the long is cut, of two the first is taken."""
    query = LinkQuery()
    if not raw:
        return query
    seen: set[str] = set()
    for pair in raw.decode("latin-1").split("&", PARAMETERS_MAX)[:PARAMETERS_MAX]:
        name, _, value = pair.partition("=")
        if not value or name in seen:
            continue
        seen.add(name)
        if "%" in value or "+" in value:
            value = unquote_plus(value)
        elif not value.isascii():
            value = value.encode("latin-1").decode("utf-8", "replace")
        _take(query, name, value)
    return query


def _take(query: LinkQuery, name: str, value: str) -> None:
    if name in _SUBS:
        query.subs[name] = clean_text(value)
    elif name == "aff_click_id":
        query.aff_click_id = clean_text(value)
    elif name == "source":
        query.source = clean_text(value)
    elif name == "creative":
        query.creative = clean_text(value)
    elif name == "url":
        query.deep_link = value if len(value) <= URL_CHARACTERS_MAX else ""
    elif name in AD_CLICK_ID_NAMES:
        query.passed[name] = query.ad_click_ids[name] = clean_text(value)
    elif name.startswith("utm_") and _UTM.fullmatch(name):
        query.passed[name] = clean_text(value)
    elif name == "format":
        query.wants_json = value == "json"
    elif name == "consent":
        query.consent = {"1": True, "0": False}.get(value)
    elif name == "test":
        query.is_test = value == "1"
