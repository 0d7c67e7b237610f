"""How a topic of a cluster may differ from topics.py."""

from dataclasses import replace

import pytest

from shared.contracts.topics import CATALOGUE, CLICKS, TOPICS
from shared.runtime.event_log.kafka_topics import FoundTopic, difference

DAY_MS = 86_400_000
AS_WANTED = {
    CLICKS: FoundTopic(CLICKS, 6, 3, 30 * DAY_MS, False, 2),
    CATALOGUE: FoundTopic(CATALOGUE, 1, 1, -1, True, 1),
}


@pytest.mark.parametrize("name", AS_WANTED)
def test_a_topic_as_wanted_differs_in_nothing(name: str) -> None:
    assert difference(TOPICS[name], AS_WANTED[name]) == ""


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        (CLICKS, {"partitions": 3}, "3 partitions, not 6"),
        (CATALOGUE, {"retention_ms": DAY_MS}, "retention.ms 86400000, not -1"),
        (CATALOGUE, {"compacted": False}, "cleanup.policy delete, not compact"),
    ],
)
def test_a_difference_is_named(name: str, change: dict[str, int], says: str) -> None:
    found = replace(AS_WANTED[name], **change)  # type: ignore[arg-type]

    assert difference(TOPICS[name], found) == says
