"""The event log behind one small interface, twice: Apache Kafka, and the producers' outbox tables in PostgreSQL."""

from shared.runtime.event_log.choice import build_event_source, build_publisher
from shared.runtime.event_log.interface import (
    Batch,
    EventSource,
    LogIdentityMismatch,
    PositionOutOfRange,
    Published,
    Publisher,
    Received,
    StatedStop,
)
from shared.runtime.event_log.positions import Positions, reset_positions

__all__ = [
    "Batch",
    "EventSource",
    "LogIdentityMismatch",
    "PositionOutOfRange",
    "Positions",
    "Published",
    "Publisher",
    "Received",
    "StatedStop",
    "build_event_source",
    "build_publisher",
    "reset_positions",
]
