"""What makes an offer version acceptable. Each rule names the field it judges, as the API spells it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.gateway.domain.cap_rules import read_caps
from services.gateway.domain.offers import VersionContent
from services.gateway.domain.term_drafts import CapDraft, TermDraft
from services.gateway.domain.term_rules import read_term
from services.gateway.domain.terms import Term
from services.gateway.domain.web_addresses import check_address, check_host_name, check_landing_template
from shared.kernel.errors import InvalidValue
from shared.kernel.money import is_currency

WINDOW_MAX_SECONDS: Final = 90 * 24 * 3600
LATE_MAX_HOURS: Final = 2_160
VALIDATION_MAX_DAYS: Final = 180
HOLD_MAX_DAYS: Final = 180
ALLOWED_HOSTS_MAX: Final = 100
TERMS_MAX: Final = 20

REFERRER_POLICIES: Final = frozenset(
    {
        "no-referrer",
        "no-referrer-when-downgrade",
        "origin",
        "origin-when-cross-origin",
        "same-origin",
        "strict-origin",
        "strict-origin-when-cross-origin",
        "unsafe-url",
    }
)
_EVENT = re.compile(r"[a-z0-9_]{1,32}", re.ASCII)
_EVENTS_RESERVED: Final = frozenset({"refund"})
_PARAMETER = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionDraft:
    """A version's content as sent."""

    landing_template: str
    allowed_hosts: Sequence[str]
    window_min_seconds: int
    window_max_seconds: int
    late_hours: int
    validation_days: int
    hold_days: int
    click_id_parameter: str
    referrer_policy: str
    terms: Sequence[TermDraft]
    caps: Sequence[CapDraft] = ()
    pays_in: str | None = None


def read_version(draft: VersionDraft, *, allow_loopback_http: bool) -> VersionContent:
    """The content that `draft` describes. Raises InvalidValue naming the first field that breaks a rule."""
    _check_window(draft.window_min_seconds, draft.window_max_seconds)
    _check_range("late_hours", draft.late_hours, LATE_MAX_HOURS)
    _check_range("validation_days", draft.validation_days, VALIDATION_MAX_DAYS)
    _check_range("hold_days", draft.hold_days, HOLD_MAX_DAYS)
    if not _PARAMETER.fullmatch(draft.click_id_parameter):
        raise InvalidValue("click_id_parameter", "parameter_invalid", "must be 1 to 64 of A-Z a-z 0-9 _ . -")
    if draft.referrer_policy not in REFERRER_POLICIES:
        raise InvalidValue("referrer_policy", "referrer_policy_unknown", "must be one of the Referrer-Policy values")
    if draft.pays_in is not None and not is_currency(draft.pays_in):
        raise InvalidValue("pays_in", "currency_unknown", "must be an upper-case ISO 4217 code such as EUR")
    terms = _read_terms(draft.terms, pays_in=draft.pays_in)
    return VersionContent(
        landing_template=check_landing_template(draft.landing_template, allow_loopback_http=allow_loopback_http),
        allowed_hosts=_read_hosts(draft.allowed_hosts, allow_loopback=allow_loopback_http),
        window_min_seconds=draft.window_min_seconds,
        window_max_seconds=draft.window_max_seconds,
        late_hours=draft.late_hours,
        validation_days=draft.validation_days,
        hold_days=draft.hold_days,
        click_id_parameter=draft.click_id_parameter,
        referrer_policy=draft.referrer_policy,
        terms=terms,
        caps=read_caps(draft.caps, terms, pays_in=draft.pays_in),
        pays_in=draft.pays_in,
    )


def check_fallback_url(url: str | None, *, allow_loopback_http: bool) -> str | None:
    """`url` itself: where shoppers go while the offer is paused, ended, or not the affiliate's."""
    return None if url is None else check_address(url, allow_loopback_http=allow_loopback_http, field="fallback_url")


def _check_range(field: str, value: int, limit: int) -> None:
    if not 0 <= value <= limit:
        raise InvalidValue(field, "out_of_range", f"must be from 0 to {limit}")


def _check_window(min_seconds: int, max_seconds: int) -> None:
    _check_range("window.min_seconds", min_seconds, WINDOW_MAX_SECONDS)
    _check_range("window.max_seconds", max_seconds, WINDOW_MAX_SECONDS)
    if min_seconds > max_seconds:
        raise InvalidValue("window.max_seconds", "window_empty", "must be at least min_seconds")


def _read_hosts(names: Sequence[str], *, allow_loopback: bool) -> tuple[str, ...]:
    if len(names) > ALLOWED_HOSTS_MAX:
        raise InvalidValue("allowed_hosts", "too_many", f"has at most {ALLOWED_HOSTS_MAX} hosts")
    for index, name in enumerate(names):
        check_host_name(name, allow_loopback=allow_loopback, field=f"allowed_hosts.{index}")
        if name in names[:index]:
            raise InvalidValue(f"allowed_hosts.{index}", "host_repeated", "appears twice")
    return tuple(names)


def _read_terms(drafts: Sequence[TermDraft], *, pays_in: str | None) -> tuple[Term, ...]:
    if not 1 <= len(drafts) <= TERMS_MAX:
        raise InvalidValue("terms", "terms_count", f"has 1 to {TERMS_MAX} terms")
    events: set[str] = set()
    for index, draft in enumerate(drafts):
        if not _EVENT.fullmatch(draft.event):
            raise InvalidValue(f"terms.{index}.event", "event_invalid", "must be 1 to 32 of a-z 0-9 _")
        if draft.event in _EVENTS_RESERVED:
            raise InvalidValue(f"terms.{index}.event", "event_reserved", "stands for taking back, which pays nothing")
        if draft.event in events:
            raise InvalidValue(f"terms.{index}.event", "event_repeated", "has a term already")
        events.add(draft.event)
    return tuple(read_term(draft, f"terms.{index}", pays_in=pays_in) for index, draft in enumerate(drafts))
