"""Offers, desks and shoppers for tests of clicks."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import crawleruseragents

from services.clicks.api.client_address import ClientAddresses
from services.clicks.api.redirect import RedirectDoor
from services.clicks.clients.click_home import ClickSink
from services.clicks.clients.click_recorder import ClickRecorder
from services.clicks.consumers.catalogue_feed import CatalogueFeed
from services.clicks.domain.catalogue import Catalogue
from services.clicks.domain.robots import RobotMatcher
from services.clicks.usecases.answer_click import ClickDesk
from shared.contracts.catalogue import (
    AffiliateChangedV1,
    CatalogueEvent,
    EnrolmentChangedV1,
    IntervalV1,
    MerchantChangedV1,
    OfferChangedV1,
    OfferVersionPublishedV1,
)
from shared.contracts.clicks import CLICKS_DECODER, ClickRecordedV1
from shared.contracts.events import encode_event
from shared.kernel.click_id import Click, read_click_id, verify_click_id
from shared.runtime.outbox import OutgoingEvent

NOON = datetime(2026, 11, 24, 12, 0, 0, 123_000, tzinfo=UTC)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
ROBOTS = RobotMatcher([entry["pattern"] for entry in crawleruseragents.CRAWLER_USER_AGENTS_DATA])


@dataclass
class SettableClock:
    """A clock that stands where a test puts it."""

    instant: datetime = NOON

    def now(self) -> datetime:
        return self.instant


@dataclass(frozen=True)
class SettableKey:
    id: int
    secret: bytes


@dataclass
class SettableKeyring:
    """A keyring in memory."""

    signing: SettableKey = field(default_factory=lambda: SettableKey(1, secrets.token_bytes(32)))


@dataclass
class MemorySink:
    """A home that keeps what it is given; while `fault` is set it takes nothing."""

    name: str = "memory"
    groups: list[list[OutgoingEvent]] = field(default_factory=list)
    fault: BaseException | None = None

    async def write(self, clicks: Sequence[OutgoingEvent]) -> None:
        if self.fault is not None:
            raise self.fault
        self.groups.append(list(clicks))

    @property
    def events(self) -> list[ClickRecordedV1]:
        return [CLICKS_DECODER.decode(click.payload) for group in self.groups for click in group]


def offer_events(
    offer_id: int = 1, *, merchant_id: int = 7, status: Any = "active", version: int = 1, **version_fields: Any
) -> list[CatalogueEvent]:
    """An offer with its current version. fallback_url goes to the offer, everything else to the version."""
    fallback_url = version_fields.pop("fallback_url", None)
    fields: dict[str, Any] = {
        "landing_template": "https://shop.example/landing",
        "allowed_hosts": ["shop.example", "www.shop.example"],
        "window_min_seconds": 0,
        "window_max_seconds": 86_400,
        "late_hours": 24,
        "validation_days": 1,
        "terms": [],
        **version_fields,
    }
    common: dict[str, Any] = {"occurred_at": NOON, "offer_id": offer_id, "merchant_id": merchant_id}
    return [
        OfferVersionPublishedV1(event_id=uuid4(), version=version, **common, **fields),
        OfferChangedV1(
            event_id=uuid4(),
            name=f"Offer {offer_id}",
            status=status,
            current_version=version,
            fallback_url=fallback_url,
            **common,
        ),
    ]


def enrolment_event(
    offer_id: int = 1,
    affiliate_id: int = 3,
    *,
    start_at: datetime = datetime(2026, 1, 1, tzinfo=UTC),
    end_at: datetime | None = None,
) -> CatalogueEvent:
    """An affiliate enrolled for one interval."""
    return EnrolmentChangedV1(
        event_id=uuid4(),
        occurred_at=NOON,
        offer_id=offer_id,
        affiliate_id=affiliate_id,
        merchant_id=7,
        intervals=[IntervalV1(start_at=start_at, end_at=end_at)],
    )


def suspended_affiliate(affiliate_id: int = 3) -> CatalogueEvent:
    return AffiliateChangedV1(
        event_id=uuid4(), occurred_at=NOON, affiliate_id=affiliate_id, name="A", status="suspended"
    )


def suspended_merchant(merchant_id: int = 7) -> CatalogueEvent:
    return MerchantChangedV1(event_id=uuid4(), occurred_at=NOON, merchant_id=merchant_id, name="M", status="suspended")


def make_catalogue(*events: CatalogueEvent, allow_loopback_http: bool = False) -> Catalogue:
    """A catalogue that has taken `events`; by default offer 1 with affiliate 3 enrolled."""
    catalogue = Catalogue()
    feed = CatalogueFeed(catalogue, allow_loopback_http=allow_loopback_http)
    for event in events or (*offer_events(), enrolment_event()):
        feed("key", encode_event(event))
    return catalogue


@dataclass
class Answer:
    """What the door sent."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: str) -> str | None:
        found = [value.decode("latin-1") for key, value in self.headers if key == name.encode()]
        assert len(found) < 2, f"{name} twice"
        return found[0] if found else None

    @property
    def location(self) -> str:
        location = self.header("location")
        assert location is not None
        return location

    @property
    def click_id(self) -> str:
        return parse_qs(urlsplit(self.location).query)["click_id"][0]


@dataclass
class RedirectHouse:
    """The redirect in one process, with a home in memory and a settable clock."""

    catalogue: Catalogue = field(default_factory=make_catalogue)
    clock: SettableClock = field(default_factory=SettableClock)
    keyring: SettableKeyring = field(default_factory=SettableKeyring)
    sink: ClickSink = field(default_factory=MemorySink)
    trusted: Sequence[Any] = ()
    cookie_is_secure: bool = True
    desk: ClickDesk = field(init=False)
    door: RedirectDoor = field(init=False)

    def __post_init__(self) -> None:
        self.desk = ClickDesk(self.catalogue, self.keyring, b"p" * 32, ROBOTS, self.clock)
        self.recorder = ClickRecorder([self.sink])
        self.door = RedirectDoor(
            self.desk, self.recorder, ClientAddresses(self.trusted), cookie_is_secure=self.cookie_is_secure
        )

    async def ask(
        self,
        target: str = "/c/1/3",
        *,
        method: str = "GET",
        user_agent: str | None = FIREFOX,
        peer: str = "203.0.113.9",
        **headers: str,
    ) -> Answer:
        """One request. headers: with `_` for `-`."""
        path, _, query = target.partition("?")
        sent: list[Any] = []
        raw = [(name.replace("_", "-").encode(), value.encode("latin-1")) for name, value in headers.items()]
        if user_agent is not None:
            raw.append((b"user-agent", user_agent.encode("latin-1")))
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query.encode("latin-1"),
            "headers": raw,
            "client": (peer, 4711),
            "state": {},
        }

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.door(scope, receive, send)
        return Answer(sent[0]["status"], list(sent[0]["headers"]), b"".join(m.get("body", b"") for m in sent[1:]))

    @property
    def events(self) -> list[ClickRecordedV1]:
        assert isinstance(self.sink, MemorySink)
        return self.sink.events

    def verify(self, click_id: str) -> Click:
        """What the click ID says, by the signing key."""
        return verify_click_id(read_click_id(click_id), {self.keyring.signing.id: self.keyring.signing.secret})
