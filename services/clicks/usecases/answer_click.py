"""Answer one click from memory alone: its flags, its click ID, where it goes, and the event that tells of it."""

import itertools
import re
import secrets
from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Protocol

from services.clicks.domain.catalogue import Catalogue, OfferPlan
from services.clicks.domain.floods import Floods
from services.clicks.domain.landing import Landing, landing_of_deep_link
from services.clicks.domain.link_query import LinkQuery, clean_text, screen_labels
from services.clicks.domain.recent_clicks import RecentClicks
from services.clicks.domain.robots import RobotMatcher
from services.clicks.domain.visitor import VISITOR_TOKEN_BYTES, address_hash, visitor_key
from services.clicks.domain.web_address import AddressRefused
from shared.contracts.clicks import ClickRecordedV1
from shared.contracts.events import encode_event
from shared.contracts.topics import CLICKS
from shared.kernel.click_id import ClickFlags, milliseconds_since_2020, sign_fields, spell_click_id
from shared.kernel.clock import Clock
from shared.kernel.ids import new_id
from shared.kernel.personal_values import Screen, personal_kind
from shared.kernel.token_bucket import Limit
from shared.runtime.outbox import OutgoingEvent

CLICKS_OF_AN_ADDRESS: Final = Limit(tokens_per_second=50, burst=3_000)
"""Where settings say nothing else: a mobile network's whole gateway may stand behind one address."""

USER_AGENT_CHARACTERS_MAX: Final = 512
ADDRESS_HASHES_MAX: Final = 10_000
"""Address hashes kept at hand: a shopper's requests come in bunches."""

_MICROSECOND: Final = timedelta(microseconds=1)
_NONCE_MASK: Final = 0xFFFF_FFFF
_REFERRER_HOST = re.compile(r"https?://([a-z0-9.-]{1,253})(?=[:/?#]|$)", re.IGNORECASE | re.ASCII)
_ROBOT: Final = int(ClickFlags.ROBOT)
_DUPLICATE: Final = int(ClickFlags.DUPLICATE)
_UNENROLLED: Final = int(ClickFlags.UNENROLLED)
_INACTIVE: Final = int(ClickFlags.INACTIVE)
_TEST: Final = int(ClickFlags.TEST)
_FLOOD: Final = int(ClickFlags.FLOOD)


@dataclass(slots=True)
class Visit:
    """What came with a request. visitor_token: of the first-party cookie, read only with consent."""

    affiliate_id: int
    query: LinkQuery
    user_agent: str = ""
    referrer: str = ""
    client_address: str = ""
    visitor_token: str | None = None


@dataclass(slots=True)
class AnsweredClick:
    """A click ready to be made durable, and then answered. new_visitor_token: to be set as a cookie, else None."""

    click_id: str
    location: str
    event: OutgoingEvent
    new_visitor_token: str | None


class SigningKey(Protocol):
    """One key of a keyring."""

    @property
    def id(self) -> int: ...
    @property
    def secret(self) -> bytes: ...


class Signer(Protocol):
    """Gives the key that click IDs are signed with now."""

    @property
    def signing(self) -> SigningKey: ...


@dataclass(slots=True)
class ClickDesk:
    """Everything an answer needs, in memory. One per process."""

    catalogue: Catalogue
    keyring: Signer
    privacy_secret: bytes
    robots: RobotMatcher
    clock: Clock
    recent: RecentClicks = field(default_factory=RecentClicks)
    floods: Floods = field(default_factory=lambda: Floods(CLICKS_OF_AN_ADDRESS))
    _nonces: "itertools.count[int]" = field(default_factory=lambda: itertools.count(secrets.randbits(32)))
    _address_hashes: dict[str, str | None] = field(default_factory=dict)
    _screen: Screen = field(init=False)

    def __post_init__(self) -> None:
        self._screen = Screen(self.privacy_secret)

    def answer(self, plan: OfferPlan, visit: Visit) -> AnsweredClick:
        """Mint the click ID of one visit to a link of `plan`'s offer, and say where the shopper goes.

        Judges nothing away: a robot, a flood, a repeat, an affiliate that is not enrolled or an inactive offer is
        flagged in the click ID, and the shopper arrives all the same (I9). Without consent (False) nothing of the
        shopper is hashed, remembered or recorded, so that a repeat is not noticed either.
        """
        query = visit.query
        screen_labels(query, self._screen)
        now = self.clock.now()
        clicked_at = now - _MICROSECOND * (now.microsecond % 1000)  # the click ID's own precision
        time_ms = milliseconds_since_2020(clicked_at)
        may_keep = query.consent is not False
        token, new_token = self._visitor_token(visit)
        hashed_address = self._address_hash(visit.client_address) if may_keep else None
        key_of_visitor = visitor_key(token, secret=self.privacy_secret) if token else None
        flags = self._standing(plan, visit.affiliate_id, clicked_at)
        if self.robots.is_robot(visit.user_agent):
            flags |= _ROBOT
        if self.floods.is_flood(visit.client_address, time_ms / 1000):
            flags |= _FLOOD
        if may_keep:
            who: Hashable = key_of_visitor or (hashed_address, visit.user_agent)
            if self.recent.is_repeat((plan.offer.offer_id, visit.affiliate_id, who), time_ms):
                flags |= _DUPLICATE
        if query.is_test:
            flags |= _TEST
        click_id = self._mint(plan, visit.affiliate_id, flags, time_ms)
        landing, deep_link = _destination(plan, query, flags)
        event_id = new_id()
        event = ClickRecordedV1(
            event_id=event_id,
            occurred_at=clicked_at,
            click_id=click_id,
            offer_id=plan.offer.offer_id,
            offer_version=plan.version.version,
            affiliate_id=visit.affiliate_id,
            merchant_id=plan.offer.merchant_id,
            flags=flags,
            subs=query.subs,
            aff_click_id=query.aff_click_id,
            source=query.source,
            creative=query.creative,
            ad_click_ids=query.ad_click_ids if may_keep else {},
            deep_link=_kept_deep_link(deep_link),
            referrer_host=referrer_host(visit.referrer),
            user_agent=clean_text(visit.user_agent, USER_AGENT_CHARACTERS_MAX) or None if may_keep else None,
            ip_hash=hashed_address,
            visitor_key=key_of_visitor,
            consent=query.consent,
        )
        return AnsweredClick(
            click_id=click_id,
            location=_fill(landing, plan, visit, click_id, clicked_at),
            event=OutgoingEvent(CLICKS, None, event_id, encode_event(event)),
            new_visitor_token=new_token,
        )

    def preview(self, plan: OfferPlan, visit: Visit) -> str:
        """Where a visit would go, without a click: nothing is minted, remembered or recorded."""
        screen_labels(visit.query, self._screen)
        now = self.clock.now()
        landing, _ = _destination(plan, visit.query, self._standing(plan, visit.affiliate_id, now))
        return _fill(landing, plan, visit, "", now)

    def _standing(self, plan: OfferPlan, affiliate_id: int, at: datetime) -> int:
        flags = 0 if plan.is_active else _INACTIVE
        return flags if self.catalogue.is_enrolled(plan.offer.offer_id, affiliate_id, at) else flags | _UNENROLLED

    def _mint(self, plan: OfferPlan, affiliate_id: int, flags: int, time_ms: int) -> str:
        key = self.keyring.signing
        return spell_click_id(
            sign_fields(
                flags=flags,
                time_ms=time_ms,
                nonce=next(self._nonces) & _NONCE_MASK,
                offer_id=plan.offer.offer_id,
                affiliate_id=affiliate_id,
                offer_version=plan.version.version,
                key_id=key.id,
                secret=key.secret,
            )
        )

    def _visitor_token(self, visit: Visit) -> tuple[str | None, str | None]:
        if visit.query.consent is not True:
            return None, None
        if visit.visitor_token is not None:
            return visit.visitor_token, None
        made = secrets.token_hex(VISITOR_TOKEN_BYTES)
        return made, made

    def _address_hash(self, address: str) -> str | None:
        hashes = self._address_hashes
        if address in hashes:
            return hashes[address]
        if len(hashes) >= ADDRESS_HASHES_MAX:
            del hashes[next(iter(hashes))]
        hashes[address] = address_hash(address, secret=self.privacy_secret)
        return hashes[address]


def referrer_host(referrer: str) -> str | None:
    """The host of a Referer header, lower case; None where it has none."""
    found = _REFERRER_HOST.match(referrer) if referrer else None
    return found[1].lower() if found else None


def _kept_deep_link(deep_link: str | None) -> str | None:
    """The deep link as the click log keeps it: without its query where that holds something personal."""
    if deep_link is None or personal_kind(deep_link.partition("//")[2]) is None:
        return deep_link
    return deep_link.partition("?")[0].partition("#")[0]


def _destination(plan: OfferPlan, query: LinkQuery, flags: int) -> tuple[Landing, str | None]:
    """The page for this click, and the deep link it followed: an unacceptable one is as good as none."""
    if plan.fallback is not None and flags & (_INACTIVE | _UNENROLLED):
        return plan.fallback, None
    if query.deep_link:
        try:
            address = plan.version.allowed_hosts.read_deep_link(query.deep_link)
        except AddressRefused:
            return plan.version.landing, None
        return landing_of_deep_link(address, click_id_parameter=plan.version.click_id_parameter), str(address)
    return plan.version.landing, None


def _fill(landing: Landing, plan: OfferPlan, visit: Visit, click_id: str, at: datetime) -> str:
    if not landing.has_macros:
        return landing.fill({}, click_id, visit.query.passed)
    values = {
        **visit.query.subs,
        "click_id": click_id,
        "affiliate_id": str(visit.affiliate_id),
        "offer_id": str(plan.offer.offer_id),
        "source": visit.query.source or "",
        "timestamp": str(int(at.timestamp())),
    }
    return landing.fill(values, click_id, visit.query.passed)
