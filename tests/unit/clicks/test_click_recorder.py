"""No silent loss (I1): what the recorder promises before a redirect leaves."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import uuid4

import pytest

from services.clicks.clients.click_home import KafkaClickSink
from services.clicks.clients.click_recorder import ClickRecorder, Recorded
from shared.contracts.topics import CLICKS
from shared.runtime.event_log.kafka import PublishFailed
from shared.runtime.outbox import OutgoingEvent
from tests.factories.clicks import MemorySink


def click(number: int = 0) -> OutgoingEvent:
    return OutgoingEvent("clicks.v1", None, uuid4(), f"click {number}".encode())


def written(sink: MemorySink) -> list[bytes]:
    return [event.payload for group in sink.groups for event in group]


@dataclass
class GatedSink:
    """A home that answers only when the test opens it."""

    name: str = "gated"
    opened: asyncio.Event = field(default_factory=asyncio.Event)
    groups: list[int] = field(default_factory=list)

    async def write(self, clicks: Sequence[OutgoingEvent]) -> None:
        await self.opened.wait()
        self.groups.append(len(clicks))


async def test_a_click_is_answered_only_when_its_home_has_it() -> None:
    sink = GatedSink()
    recorder = ClickRecorder([sink])

    answering = asyncio.create_task(recorder.record(click()))
    await asyncio.sleep(0.02)
    waited = not answering.done()
    sink.opened.set()

    assert waited
    assert await answering is Recorded.DURABLE


async def test_clicks_that_arrive_together_travel_together() -> None:
    sink = MemorySink()
    recorder = ClickRecorder([sink])

    recorded = await asyncio.gather(*(recorder.record(click(n)) for n in range(120)))

    assert set(recorded) == {Recorded.DURABLE}
    assert [len(group) for group in sink.groups] == [120]


async def test_the_second_home_takes_what_the_first_refuses() -> None:
    first, second = MemorySink("first", fault=ConnectionError()), MemorySink("second")
    recorder = ClickRecorder([first, second])

    assert await recorder.record(click()) is Recorded.DURABLE
    assert len(written(second)) == 1


async def test_a_home_that_hangs_is_not_waited_for_and_then_rests() -> None:
    first, second = GatedSink(), MemorySink("second")
    recorder = ClickRecorder([first, second], home_timeout_seconds=30, home_rest_seconds=30)

    async with asyncio.timeout(10):
        recorded = [await recorder.record(click(n)) for n in range(3)]

    assert set(recorded) == {Recorded.DURABLE}
    assert written(second) == [b"click 0", b"click 1", b"click 2"]
    assert first.groups == []
    await recorder.close()


async def test_a_home_that_is_slow_once_is_first_again_when_it_has_answered() -> None:
    first, second = GatedSink(), MemorySink("second")
    recorder = ClickRecorder([first, second], home_rest_seconds=30)

    await recorder.record(click(1))
    first.opened.set()
    await asyncio.sleep(0.01)
    await recorder.record(click(2))

    assert (sum(first.groups), written(second)) == (2, [b"click 1"])


async def test_after_its_rest_a_home_is_tried_beside_the_healthy_one_and_then_alone() -> None:
    first, second = MemorySink("first", fault=ConnectionError()), MemorySink("second")
    recorder = ClickRecorder([first, second], home_rest_seconds=0.05)

    await recorder.record(click(1))
    first.fault = None
    await asyncio.sleep(0.06)
    await recorder.record(click(2))
    await recorder.record(click(3))

    assert written(first) == [b"click 2", b"click 3"]
    assert written(second) == [b"click 1", b"click 2"]


async def test_a_try_of_a_home_that_still_hangs_holds_nobody_up() -> None:
    first, second = GatedSink(), MemorySink("second")
    recorder = ClickRecorder([first, second], home_timeout_seconds=30, home_rest_seconds=0.0)

    async with asyncio.timeout(10):
        for n in range(5):
            await recorder.record(click(n))

    assert len(written(second)) == 5
    await recorder.close()


async def test_when_the_only_home_is_sick_shoppers_do_not_wait_for_it_again() -> None:
    sink = GatedSink()
    recorder = ClickRecorder([sink], home_timeout_seconds=0.5, home_rest_seconds=0.0)
    await recorder.record(click(1))
    known_since = asyncio.get_running_loop().time()

    recorded = [await recorder.record(click(n)) for n in range(2, 7)]

    assert set(recorded) == {Recorded.BUFFERED}
    assert asyncio.get_running_loop().time() - known_since < 5 * 0.5
    sink.opened.set()
    await recorder.close()
    assert sum(sink.groups) == 6


async def test_without_any_home_clicks_wait_and_are_written_when_one_is_back() -> None:
    sink = MemorySink(fault=ConnectionError())
    recorder = ClickRecorder([sink], home_rest_seconds=0.02)
    running = asyncio.create_task(recorder.run())

    recorded = await asyncio.gather(*(recorder.record(click(n)) for n in range(3)))
    waiting = recorder.buffered
    sink.fault = None
    while recorder.buffered:
        await asyncio.sleep(0.01)
    running.cancel()

    assert (set(recorded), waiting) == ({Recorded.BUFFERED}, 3)
    assert written(sink) == [b"click 0", b"click 1", b"click 2"]


async def test_the_buffer_has_a_limit_and_says_what_it_lost() -> None:
    recorder = ClickRecorder([MemorySink(fault=ConnectionError())], buffer_clicks_max=2)

    recorded = await asyncio.gather(*(recorder.record(click(n)) for n in range(5)))

    assert set(recorded) == {Recorded.BUFFERED}
    assert recorder.buffered == 2


async def test_closing_writes_everything_that_waits() -> None:
    sink = MemorySink(fault=ConnectionError())
    recorder = ClickRecorder([sink])
    await recorder.record(click(1))
    late = asyncio.create_task(recorder.record(click(2)))
    await asyncio.sleep(0)
    sink.fault = None

    await recorder.close()

    assert sorted(written(sink)) == [b"click 1", b"click 2"]
    await late


async def test_a_cancelled_request_takes_no_other_with_it() -> None:
    sink = GatedSink()
    recorder = ClickRecorder([sink])
    leaving, staying = (asyncio.create_task(recorder.record(click(n))) for n in range(2))
    await asyncio.sleep(0.01)

    leaving.cancel()
    sink.opened.set()

    assert await staying is Recorded.DURABLE
    assert sink.groups == [2]
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_a_slow_home_holds_up_a_bounded_number_of_groups() -> None:
    sink = GatedSink()
    recorder = ClickRecorder([sink])

    answering = []
    for n in range(8):
        answering.append(asyncio.create_task(recorder.record(click(n))))
        await asyncio.sleep(0.06)
    sink.opened.set()
    await asyncio.gather(*answering)

    assert sum(sink.groups) == 8
    assert 2 <= len(sink.groups) <= 6


class BrokerDouble:
    """Stands for KafkaBatchPublisher: away, or there."""

    def __init__(self) -> None:
        self.is_away = True
        self.published: list[bytes] = []

    async def publish_batch(self, topic: str, payloads: Sequence[bytes]) -> None:
        if self.is_away:
            raise PublishFailed("KafkaConnectionError")
        assert topic == CLICKS
        self.published += payloads


async def test_kafka_is_first_and_the_outbox_takes_over_while_it_is_away() -> None:
    broker, outbox = BrokerDouble(), MemorySink("outbox")
    kafka = KafkaClickSink(broker)  # type: ignore[arg-type]  # the double has what the sink uses
    recorder = ClickRecorder([kafka, outbox], home_rest_seconds=0.05)

    away = await recorder.record(click(1))
    broker.is_away = False
    resting = await recorder.record(click(2))
    await asyncio.sleep(0.06)
    back = await recorder.record(click(3))

    assert {away, resting, back} == {Recorded.DURABLE}
    assert written(outbox) == [b"click 1", b"click 2", b"click 3"]
    assert broker.published == [b"click 3"]
