"""The memory of recent clicks is bounded and forgets in order."""

from services.clicks.domain.recent_clicks import RecentClicks


def test_a_repeat_is_one_within_the_window_of_the_last_click() -> None:
    recent = RecentClicks(window_ms=10)

    answers = [recent.is_repeat("a", at) for at in (0, 10, 20, 31)]

    assert answers == [False, True, True, False]


def test_memory_is_bounded_and_shrinks_after_the_window() -> None:
    recent = RecentClicks(window_ms=10, keys_max=100)

    for n in range(1_000):
        recent.is_repeat(n, 0)
    full = len(recent)
    for n in range(60):
        recent.is_repeat(("later", n), 1_000)

    assert full == 100
    assert len(recent) <= 60
