"""Token buckets: never over the limit, and honest about when to come back."""

from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.token_bucket import Limit, TokenBuckets


@given(
    rate=st.integers(1, 50),
    burst=st.integers(1, 50),
    pauses=st.lists(st.floats(0, 2, allow_nan=False), min_size=1, max_size=200),
)
def test_no_stretch_of_time_lets_more_through_than_the_limit(rate: int, burst: int, pauses: list[float]) -> None:
    buckets = TokenBuckets(Limit(rate, burst), buckets_max=10)
    now, allowed = 0.0, []
    for pause in pauses:
        now += pause
        if buckets.take("a", now).is_allowed:
            allowed.append(now)

    for first in range(len(allowed)):
        for last in range(first, len(allowed)):
            assert last - first + 1 <= burst + rate * (allowed[last] - allowed[first]) + 1e-6


@given(rate=st.floats(0.1, 100), burst=st.integers(1, 20))
def test_whoever_waits_as_told_is_let_through(rate: float, burst: int) -> None:
    buckets = TokenBuckets(Limit(rate, burst), buckets_max=10)
    for _ in range(burst):
        assert buckets.take("a", 0.0).is_allowed

    refused = buckets.take("a", 0.0)

    assert not refused.is_allowed
    assert refused.retry_after_seconds >= 1
    assert buckets.take("a", float(refused.retry_after_seconds)).is_allowed


def test_callers_do_not_share_a_bucket() -> None:
    buckets = TokenBuckets(Limit(1, 1), buckets_max=10)
    buckets.take("a", 0.0)

    assert not buckets.take("a", 0.0).is_allowed
    assert buckets.take("b", 0.0).is_allowed


def test_a_clock_that_steps_back_gives_nothing_away() -> None:
    buckets = TokenBuckets(Limit(1, 1), buckets_max=10)
    buckets.take("a", 100.0)

    assert not buckets.take("a", 50.0).is_allowed
    assert not buckets.take("a", 50.5).is_allowed


def test_looking_takes_nothing() -> None:
    buckets = TokenBuckets(Limit(1, 2), buckets_max=10)

    assert [buckets.look("a", 0.0).remaining for _ in range(3)] == [2, 2, 2]


def test_buckets_are_bounded() -> None:
    buckets = TokenBuckets(Limit(1, 1), buckets_max=100)
    for number in range(1_000):
        buckets.take(str(number), 0.0)

    assert len(buckets) == 100


def test_what_is_told_of_a_bucket_is_right() -> None:
    buckets = TokenBuckets(Limit(2, 10), buckets_max=10)

    taken = buckets.take("a", 0.0)

    assert (buckets.limit.window_seconds, taken.remaining, taken.reset_seconds) == (5, 9, 1)
