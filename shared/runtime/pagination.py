"""Pages: an opaque cursor, a bounded limit, and the one shape of every list answer."""

import base64
import binascii
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Final, Generic, TypeVar

from fastapi import Query
from pydantic import BaseModel, BeforeValidator

from shared.kernel.ids import ID_MAX
from shared.runtime.problem import Problem, field_invalid
from shared.runtime.strict_json import JsonInvalid, loads
from shared.runtime.wire_model import in_utc, plain_number

LIMIT_DEFAULT: Final = 50
LIMIT_MAX: Final = 200
CURSOR_CHARACTERS_MAX: Final = 1_024
"""A cursor holds the sort key of one row: an instant, an id, at most one text of 64 characters."""

CursorValue = str | int | bool | None
Item = TypeVar("Item")
Row = TypeVar("Row")

PageLimit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="Items in the page"), BeforeValidator(plain_number)]
"""Query parameter of a list route: `limit: PageLimit = LIMIT_DEFAULT`."""

PageCursor = Annotated[
    str | None, Query(max_length=CURSOR_CHARACTERS_MAX, description="`next_cursor` of the page before")
]
"""Query parameter of a list route: `cursor: PageCursor = None`."""


class Page(BaseModel, Generic[Item]):
    """The answer of every list route. next_cursor: null on the last page."""

    items: list[Item]
    next_cursor: str | None = None


def encode_cursor(position: Mapping[str, CursorValue]) -> str:
    """`position` (the sort key of the last row shown) as URL-safe text. Not signed: it carries no authority."""
    text = json.dumps(dict(position), separators=(",", ":"), sort_keys=True, ensure_ascii=False)
    return base64.urlsafe_b64encode(text.encode("utf-8")).decode("ascii").rstrip("=")


def decode_cursor(cursor: str, *, keys: Sequence[str] | None = None) -> dict[str, CursorValue]:
    """What `encode_cursor` was given. keys: the names that must be there, exactly.

    Raises Problem 422 `cursor_invalid` for anything else. A cursor only says where to go on reading: the query
    that uses it stays bound to the tenant, so a borrowed cursor shows nothing. Types of the values are not promised:
    use `cursor_integer`, `cursor_id` and `cursor_text`.
    """
    if len(cursor) > CURSOR_CHARACTERS_MAX or not cursor.isascii():
        raise _cursor_invalid()
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        position = loads(raw)
    except (binascii.Error, ValueError, JsonInvalid):
        raise _cursor_invalid() from None
    if not isinstance(position, dict) or (keys is not None and set(position) != set(keys)):
        raise _cursor_invalid()
    if not all(value is None or isinstance(value, str | int) for value in position.values()):
        raise _cursor_invalid()
    return position


def cursor_integer(position: Mapping[str, CursorValue], key: str) -> int:
    """The whole number under `key`, within a PostgreSQL bigint. Raises Problem 422 `cursor_invalid`."""
    value = position.get(key)
    if type(value) is not int or not -(2**63) <= value < 2**63:
        raise _cursor_invalid()
    return value


def cursor_id(position: Mapping[str, CursorValue], key: str) -> int:
    """The id under `key`, 0 for before the first: what an integer column holds. Raises Problem 422 `cursor_invalid`."""
    number = cursor_integer(position, key)
    if not 0 <= number <= ID_MAX:
        raise _cursor_invalid()
    return number


def cursor_text(position: Mapping[str, CursorValue], key: str) -> str:
    """The text under `key`. Raises Problem 422 `cursor_invalid`."""
    value = position.get(key)
    if not isinstance(value, str):
        raise _cursor_invalid()
    return value


def cursor_instant(position: Mapping[str, CursorValue], key: str) -> datetime:
    """The instant under `key`, in UTC. Raises Problem 422 `cursor_invalid`."""
    return cursor_parsed(position, key, _instant)


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    if instant.tzinfo is None:
        raise ValueError("an instant has a zone")
    return in_utc(instant)


def cursor_parsed(position: Mapping[str, CursorValue], key: str, parse: Callable[[str], Item]) -> Item:
    """The text under `key` through `parse` (UUID, datetime.fromisoformat …). Raises Problem 422 `cursor_invalid`."""
    try:
        return parse(cursor_text(position, key))
    except ValueError:
        raise _cursor_invalid() from None


def page_of(
    rows: Sequence[Row], limit: int, position_of: Callable[[Row], Mapping[str, CursorValue]]
) -> tuple[Sequence[Row], str | None]:
    """The rows of this page and the cursor of the next, from a query for `limit + 1` rows."""
    if len(rows) <= limit:
        return rows, None
    shown = rows[:limit]
    return shown, encode_cursor(position_of(shown[-1]))


def page_document(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """The page as a plain JSON object."""
    return {"items": list(items), "next_cursor": next_cursor}


def _cursor_invalid() -> Problem:
    return field_invalid("cursor", "cursor_invalid", "is not a cursor of this list; start without one")
