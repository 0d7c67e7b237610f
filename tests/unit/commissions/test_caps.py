"""Whatever is asked, in whatever order: never above a cap, and its usage is what stands under it, to the cent."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services.commissions.domain.caps import Cap, CapKey, first_grants, next_grants, read_cap, reserved_by
from services.commissions.domain.commission import CommissionStatus, Standing, TransitionRefused, commission_id_of
from services.commissions.domain.postings import CreditVersion, Release, apply_release, apply_version, is_withheld
from services.commissions.domain.terms import PercentageTerm, PricingImpossible
from services.commissions.storage.cap_store import CapUsage
from services.commissions.usecases.grant_caps import CapGrants
from shared.contracts.catalogue import CapV1, MoneyV1
from shared.contracts.commissions import NO_DECISIONS, DecisionsV1
from shared.kernel.ids import derived_id
from shared.kernel.money import Money

START = datetime(2026, 11, 29, 12, tzinfo=UTC)
TERM = PercentageTerm(Decimal(10), Decimal(2))


@dataclass(slots=True)
class Life:
    """One conversion: what it was told, what was decided, and what stands."""

    conversion_id: UUID
    affiliate_id: int
    ordered: Money
    net: Money
    approved: bool = False
    version: int = 0
    standing: Standing | None = None
    told: list[tuple[CreditVersion, Release | None, DecisionsV1]] = field(default_factory=list)

    def say(self, status: str, net: Money, caps: tuple[Cap, ...], at: datetime) -> CreditVersion:
        self.version, self.net = self.version + 1, net
        return CreditVersion(
            event_id=derived_id(self.conversion_id, f"v{self.version}"),
            commission_id=commission_id_of(self.conversion_id),
            conversion_id=self.conversion_id,
            version=self.version,
            status=status,
            affiliate_id=self.affiliate_id,
            merchant_id=7,
            offer_id=9,
            offer_version=1,
            ordered=self.ordered,
            net=net,
            occurred_at=at,
            term=TERM,
            hold_days=0,
            caps=caps,
        )


class Book:
    """Conversions under caps, one after the other, as a batch of the consumer takes them."""

    def __init__(self, caps: tuple[Cap, ...], lives: list[Life]) -> None:
        self.caps, self.lives, self.now = caps, lives, START
        self.grants = CapGrants()

    def _lock(self, life: Life) -> None:
        keys = [cap.key(9, life.affiliate_id, self.now) for cap in self.caps]
        for key in (*map(str, keys), *(grant.key for grant in (life.standing.grants if life.standing else ()))):
            self.grants.usages.setdefault(key, CapUsage())

    def tell(self, life: Life, status: str, net: Money) -> None:
        self._lock(life)
        version = life.say(status, net, self.caps, self.now)
        decisions = self.grants.decide(life.standing, version, NO_DECISIONS)
        after = apply_version(life.standing, version, decisions).standing
        self.grants.settle(life.standing, after)
        life.standing = after
        life.told.append((version, None, decisions))

    def release(self, life: Life) -> None:
        assert life.standing is not None
        self._lock(life)
        version = life.told[-1][0]
        decisions = self.grants.release(life.standing, version, NO_DECISIONS)
        release = Release(derived_id(version.event_id, f"r{len(life.told)}"), 1, "key:f", self.now, "goodwill")
        after = apply_release(life.standing, version, release, decisions).standing
        before = {key: usage.reserved for key, usage in self.grants.usages.items()}
        self.grants.settle(life.standing, after)
        assert all(self.grants.usages[key].reserved >= number for key, number in before.items()), "it freed room"
        life.standing = after
        life.told.append((version, release, decisions))

    def check(self) -> None:
        """Usage is what stands; nothing is over its cap but what finance released, which is counted apart."""
        sums: dict[str, int] = dict.fromkeys(self.grants.usages, 0)
        for life in self.lives:
            if life.standing is None:
                continue
            charge = life.standing.commission + life.standing.margin
            for key in {grant.key for grant in life.standing.grants}:
                counts_now = life.standing.status in (CommissionStatus.ACCRUED, CommissionStatus.APPROVED)
                sums[key] += charge.amount_minor if CapKey.of(key).currency else int(counts_now)
        limits = {cap.name: cap.limit_number for cap in self.caps}
        for key, usage in self.grants.usages.items():
            assert usage.reserved + usage.released == sums[key]
            assert usage.reserved >= 0 <= usage.released
            assert usage.reserved <= limits[CapKey.of(key).name]

    def check_replay(self) -> None:
        """From what was stored alone, each conversion comes to the same again."""
        for life in self.lives:
            standing: Standing | None = None
            for version, release, decisions in life.told:
                applied = (
                    apply_version(standing, version, decisions)
                    if release is None or standing is None
                    else apply_release(standing, version, release, decisions)
                )
                standing = applied.standing
            assert standing == life.standing


CAPS = some.lists(
    some.builds(
        Cap,
        name=some.sampled_from(["a", "b/c", "d"]),
        scope=some.sampled_from(["offer", "affiliate"]),
        period=some.sampled_from(["day", "month", "total"]),
        limit=some.one_of(some.integers(0, 4), some.integers(0, 400).map(lambda minor: Money(minor, "EUR"))),
    ),
    min_size=1,
    max_size=3,
    unique_by=lambda cap: cap.name,
).map(tuple)
MOVES = some.lists(
    some.tuples(
        some.integers(0, 5),
        some.sampled_from(["credit", "credit", "price", "approve", "reverse", "release", "midnight"]),
        some.integers(0, 1_500),
    ),
    max_size=60,
)


@given(CAPS, MOVES)
def test_never_above_a_cap_and_usage_is_what_stands(caps: tuple[Cap, ...], moves: list[tuple[int, str, int]]) -> None:
    none = Money(0, "EUR")
    lives = [Life(derived_id(UUID(int=1), str(n)), 1 + n % 2, Money(1_500, "EUR"), none) for n in range(6)]
    book = Book(caps, lives)

    for place, move, minor in moves:
        life = lives[place]
        is_over = life.standing is not None and life.standing.status is CommissionStatus.REVERSED
        if move == "midnight":
            book.now += timedelta(days=1)
        elif is_over or (life.standing is None and move not in ("credit", "price")):
            continue
        elif move == "release":
            if life.standing is not None and is_withheld(life.standing):
                book.release(life)
        elif move == "reverse":
            book.tell(life, "reversed", none)
        else:
            life.approved = life.approved or move == "approve"
            book.tell(life, "approved" if life.approved else "pending", Money(minor, "EUR"))
        book.check()

    book.check_replay()


@pytest.mark.parametrize("name", ["plain", "with/slashes", "offer/total/EUR/x"])
@pytest.mark.parametrize("scope", ["offer", "affiliate"])
def test_a_key_reads_back(name: str, scope: str) -> None:
    for limit in (3, Money(100, "EUR")):
        key = Cap(name, scope, "month", limit).key(42, 3, START)  # type: ignore[arg-type]

        assert CapKey.of(str(key)) == key


@pytest.mark.parametrize("both", [True, False])
def test_a_cap_limits_exactly_one_thing(both: bool) -> None:
    amount, count = (MoneyV1(amount_minor=1, currency="EUR"), 1) if both else (None, None)

    with pytest.raises(PricingImpossible):
        read_cap(CapV1(name="x", scope="offer", period="total", amount=amount, count=count))


def test_a_bundle_counts_each_of_its_clicks_and_is_granted_whole() -> None:
    cap = Cap("clicks", "offer", "total", 10)
    asked = [(cap, cap.key(9, 3, START))]

    (fits,) = first_grants(asked, Money(0, "EUR"), {str(asked[0][1]): 3}, quantity=7)
    (too_many,) = first_grants(asked, Money(0, "EUR"), {str(asked[0][1]): 3}, quantity=8)

    assert (fits.is_granted, fits.count) == (True, 7)
    assert (too_many.is_granted, too_many.count) == (False, None)


def test_what_waits_for_nobody_cannot_be_released() -> None:
    life = Life(UUID(int=5), 3, Money(100, "EUR"), Money(100, "EUR"))
    book = Book((Cap("a", "offer", "total", 5),), [life])
    book.tell(life, "pending", life.net)

    with pytest.raises(TransitionRefused):
        book.release(life)


def test_what_is_released_after_its_approval_is_payable_when_it_would_have_been() -> None:
    life = Life(UUID(int=5), 3, Money(1_000, "EUR"), Money(1_000, "EUR"))
    book = Book((Cap("a", "offer", "total", 0),), [life])
    book.tell(life, "pending", life.net)
    book.now += timedelta(days=2)
    book.tell(life, "approved", life.net)
    approved_at = book.now
    book.now += timedelta(days=30)

    book.release(life)

    assert life.standing is not None
    assert (life.standing.status, life.standing.payable_at) == (CommissionStatus.APPROVED, approved_at)
    assert life.standing.commission == Money(100, "EUR")


def test_a_release_counts_beside_the_cap_that_refused_and_under_every_other_one() -> None:
    day, total = Cap("day", "offer", "day", Money(500, "EUR")), Cap("total", "offer", "total", Money(2_000, "EUR"))
    asked = [(cap, cap.key(9, 3, START)) for cap in (day, total)]

    refused, fits = first_grants(asked, Money(1_000, "EUR"), {}, is_released=True)

    assert (refused.is_released, fits.is_released) == (True, False)


def test_a_released_raise_counts_beside_the_cap_by_the_raise_alone() -> None:
    cap = Cap("total", "offer", "total", Money(1_000, "EUR"))
    key = str(cap.key(9, 3, START))
    stands = first_grants([(cap, cap.key(9, 3, START))], Money(1_000, "EUR"), {})

    raised = next_grants(stands, [cap], Money(1_100, "EUR"), {key: 1_000}, is_released=True)
    lowered = next_grants(raised, [cap], Money(900, "EUR"), {key: 1_000})

    assert [(grant.is_released, reserved_by(grant)) for grant in raised] == [(False, 1_000), (True, 100)]
    assert [(grant.is_released, reserved_by(grant)) for grant in lowered] == [(False, 900), (True, 0)]
