"""Which clicks are paid for: no two of a shopper within 24 hours, and none for nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.clicks.domain.billable import (
    APART,
    BillableClick,
    hour_of,
    settled_before,
    shopper_of,
    valid_clicks,
)

START = datetime(2026, 11, 24, tzinfo=UTC)
TIMES = st.integers(0, 4 * 24 * 60).map(lambda minutes: START + timedelta(minutes=minutes))
SHOPPERS = st.sampled_from(["a", "b", None])
CLICKS = st.lists(st.tuples(TIMES, SHOPPERS), max_size=25)


def clicks_of(drawn: Sequence[tuple[datetime, str | None]]) -> list[BillableClick]:
    return [
        BillableClick(number.to_bytes(35, "big"), at, offer_version=1, affiliate_id=2, merchant_id=7, shopper=shopper)
        for number, (at, shopper) in enumerate(drawn)
    ]


@given(CLICKS, st.randoms())
def test_the_order_in_which_they_come_does_not_matter(drawn: list[tuple[datetime, str | None]], random: object) -> None:
    clicks = clicks_of(drawn)
    shuffled = list(clicks)
    random.shuffle(shuffled)  # type: ignore[attr-defined]

    assert valid_clicks(shuffled, {}) == valid_clicks(clicks, {})


@given(CLICKS, st.dictionaries(st.sampled_from(["a", "b"]), st.lists(TIMES, max_size=3)))
def test_two_that_count_are_a_day_apart_and_what_does_not_count_has_one_near_it(
    drawn: list[tuple[datetime, str | None]], paid: dict[str, list[datetime]]
) -> None:
    clicks = clicks_of(drawn)
    valid = valid_clicks(clicks, paid)
    for click in clicks:
        others = [c.clicked_at for c in clicks if c.click_id in valid and c is not click and c.shopper == click.shopper]
        near = [at for at in (*others, *paid.get(click.shopper or "", ())) if abs(at - click.clicked_at) < APART]
        assert (click.click_id in valid) == (click.shopper is not None and not near)


def test_the_first_counts_and_the_next_one_exactly_a_day_later() -> None:
    day = timedelta(hours=24)
    clicks = clicks_of([(START + day - timedelta(milliseconds=1), "a"), (START, "a"), (START + day, "a")])

    assert valid_clicks(clicks, {}) == {clicks[1].click_id, clicks[2].click_id}


def test_a_visitor_is_told_apart_before_its_network() -> None:
    assert shopper_of(visitor_key="v", ip_hash="i", user_agent="u") == shopper_of(
        visitor_key="v", ip_hash="j", user_agent=None
    )
    assert shopper_of(visitor_key=None, ip_hash="i", user_agent="u") != shopper_of(
        visitor_key=None, ip_hash="i", user_agent="w"
    )
    assert shopper_of(visitor_key=None, ip_hash=None, user_agent="u") is None


@given(TIMES)
def test_an_hour_is_settled_a_quarter_of_an_hour_after_its_end(now: datetime) -> None:
    end = settled_before(now)

    assert hour_of(end) == end
    assert timedelta(minutes=15) <= now - end < timedelta(minutes=75)
