"""Identifiers: small integers for parties and offers, UUIDv7 for rows, UUIDv5 for what follows from an event."""

from typing import Final
from uuid import UUID

import uuid_utils

ID_MAX: Final = 2**31 - 1
"""Largest merchant, affiliate or offer id: a positive PostgreSQL integer, four bytes of a click ID."""

OFFER_VERSION_MAX: Final = 2**16 - 1
"""Largest offer version: two bytes of a click ID."""


def new_id() -> UUID:
    """A fresh UUIDv7: sorts by creation time to the millisecond."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def derived_id(source: UUID, name: str) -> UUID:
    """The UUIDv5 of `name` under `source`: the same for every replay of the same event (invariant I5)."""
    return UUID(bytes=uuid_utils.uuid5(uuid_utils.UUID(bytes=source.bytes), name).bytes)


def is_party_id(value: int) -> bool:
    """True for an integer that can name a merchant, an affiliate or an offer."""
    return 1 <= value <= ID_MAX
