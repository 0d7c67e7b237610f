"""The queue of postbacks: each merchant in turn, nobody's line without end."""

from hypothesis import given
from hypothesis import strategies as st

from services.conversions.domain.fair_queue import FairQueue


def test_a_single_postback_passes_anothers_rush() -> None:
    queue: FairQueue[str] = FairQueue(size_max=100, line_max=50)
    for number in range(50):
        queue.add(1, f"rush {number}", 1)
    queue.add(2, "single", 1)

    assert "single" in queue.take(2)


def test_one_merchant_fills_its_own_line_only() -> None:
    queue: FairQueue[int] = FairQueue(size_max=100, line_max=25)

    assert [queue.add(1, number, 1) for number in range(30)] == [True] * 25 + [False] * 5
    assert queue.add(2, 0, 1)


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 100)), max_size=60), st.integers(1, 200))
def test_everything_comes_out_once_and_in_its_merchants_order(adds: list[tuple[int, int]], at_once: int) -> None:
    queue: FairQueue[tuple[int, int]] = FairQueue(size_max=2_000, line_max=1_000)
    put = [
        (merchant, place) for place, (merchant, size) in enumerate(adds) if queue.add(merchant, (merchant, place), size)
    ]

    out = []
    while group := queue.take(at_once):
        assert len(group) == 1 or sum(adds[place][1] for _, place in group) <= at_once
        out += group

    assert sorted(out) == sorted(put)
    assert queue.size == 0
    for merchant in range(1, 6):
        mine = [place for who, place in out if who == merchant]
        assert mine == sorted(mine)
