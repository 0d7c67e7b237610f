"""What every event has, and how events become bytes and back.

Within a schema version only optional fields may be added; readers ignore fields they do not know. Anything else is
a new version: publish both, move the consumers, stop the old one.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Fields of every event. event_id: UUID. occurred_at: aware, UTC. schema_version: of this event's type."""

    event_id: UUID
    occurred_at: datetime
    schema_version: int = 1


class EventUndecodable(Exception):
    """Bytes that are no event this reader knows: malformed, of an unknown type, or of a future schema version."""


_encoder = msgspec.json.Encoder()


def encode_event(event: Event) -> bytes:
    """The event as UTF-8 JSON, `type` first."""
    return _encoder.encode(event)


class EventDecoder(msgspec.Struct, frozen=True):
    """Decodes the events of one topic: a union of Event types told apart by `type`."""

    decoder: msgspec.json.Decoder[Any]

    @classmethod
    def of(cls, union: Any) -> "EventDecoder":
        """A decoder for `union`, for example `MerchantChangedV1 | OfferChangedV1`."""
        return cls(msgspec.json.Decoder(union))

    def decode(self, payload: bytes) -> Any:
        """The event in `payload`. Raises EventUndecodable with a reason that quotes no value."""
        try:
            event = self.decoder.decode(payload)
        except msgspec.ValidationError as error:
            raise EventUndecodable(f"not an event of this topic: {_without_values(str(error))}") from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise EventUndecodable("not JSON") from None
        if event.schema_version != 1:
            raise EventUndecodable("a schema version this reader does not know")
        return event


def _without_values(message: str) -> str:
    """msgspec quotes an unknown tag; the reason of a dead letter keeps the path only."""
    return message if "Invalid value" not in message else "unknown type or value" + message[message.rfind(" - at") :]
