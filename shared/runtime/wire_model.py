"""Models for JSON bodies: they take exactly the type they name, and text without invisible tricks.

Pydantic alone takes `true` for 1, "5" for 5, 1700000000 for a time, and any control character.
"""

import enum
import re
import types
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin
from uuid import UUID

from fastapi import Path
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationInfo,
    field_validator,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.kernel.ids import ID_MAX
from shared.kernel.money import Money

TEXT_CHARACTERS_MAX: Final = 2_000
"""Longest string where a model names no shorter limit."""

LIST_ITEMS_MAX: Final = 1_000

_DECIMAL_TEXT = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,18})?", re.ASCII)
_INSTANT_TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_DATE_TEXT = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_NUMBER_TEXT = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_NUMBERS: Final = frozenset({int, float, Decimal})
_NOT_NUMBERS: Final = frozenset({str, bool, datetime, date, time, timedelta, UUID, type(None)})
_REFUSED_CATEGORIES: Final = frozenset({"Cc", "Cs", "Zl", "Zp"})
_REFUSED_CHARACTERS: Final = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff\ufffe\uffff")
"""Bidirectional overrides make text read as what it is not; marks and joiners that scripts need stay allowed."""


def refused_character(text: str) -> bool:
    """True when `text` holds a control character, half a character, a line separator or a direction override."""
    if text.isascii():
        return not text.isprintable()
    return any(c in _REFUSED_CHARACTERS or unicodedata.category(c) in _REFUSED_CATEGORIES for c in text)


@dataclass(frozen=True, slots=True)
class PlainText:
    """One line of people's text: `name: Annotated[str, PlainText(120)]`, in bodies, queries and paths.

    Lengths in characters. Refuses control characters, NUL, direction overrides, and blanks at either end.
    """

    max_length: int
    min_length: int = 1

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """The string's own schema, and then our check; also for `str | None`."""
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: Any) -> dict[str, Any]:
        """For OpenAPI."""
        described: dict[str, Any] = handler(schema)
        target = next((s for s in described.get("anyOf", []) if s.get("type") == "string"), described)
        target.update(minLength=self.min_length, maxLength=self.max_length)
        return described

    def check(self, text: str | None) -> str | None:
        """`text` itself. Raises the validation error that says what is wrong with it."""
        if text is None:
            return None
        if not self.min_length <= len(text) <= self.max_length:
            limits = {"min_length": self.min_length, "max_length": self.max_length}
            raise PydanticCustomError("text_length", "must have {min_length} to {max_length} characters", limits)
        if refused_character(text):
            raise PydanticCustomError("text_control_character", "must not hold control characters")
        if text != text.strip():
            raise PydanticCustomError("text_not_trimmed", "must not begin or end with a blank")
        return text


def plain_number(value: Any) -> Any:
    """Before pydantic reads a number out of a path or a query: no `+1`, `1_000`, ` 5 ` or other script's digits."""
    if isinstance(value, str) and not _NUMBER_TEXT.fullmatch(value):
        raise PydanticCustomError("number_malformed", "must be a plain whole number of 1 or more")
    return value


WireId = Annotated[int, Field(ge=1, le=ID_MAX)]
"""A merchant, affiliate or offer id in a body."""

PathId = Annotated[int, Path(ge=1, le=ID_MAX), BeforeValidator(plain_number)]
"""The same in a path: no `+1`, `1_000`, blanks or other spellings of a number."""

QueryId = Annotated[int, Field(ge=1, le=ID_MAX), BeforeValidator(plain_number)]
"""The same in a query: `affiliate_id: QueryId | None = None`."""


def in_utc(instant: datetime) -> datetime:
    """The same instant in UTC. Raises ValueError where UTC has no such year."""
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise ValueError("out of range") from None


QueryInstant = Annotated[AwareDatetime, AfterValidator(in_utc)]
"""An instant in a query, in UTC. Refused where UTC has no such year: the first or the last day, seen from afar."""


class StrictModel(BaseModel):
    """The parent of every request body: unknown fields refused, no type taken for another, no control characters.

    Whole numbers arrive as int and others as Decimal; times are RFC 3339 with a zone; decimals are plain strings.
    """

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        allow_inf_nan=False,
        str_max_length=TEXT_CHARACTERS_MAX,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _refuse_other_types(cls, value: Any, info: ValidationInfo) -> Any:
        field = cls.model_fields[str(info.field_name)]
        annotation: Any = field.annotation
        _check_value(value, _leaf_types(annotation))
        return value


class MoneyModel(StrictModel):
    """Money in a body: `{"amount": "12.34", "currency": "EUR"}`. The currency's own decimals are judged by Money."""

    amount: Annotated[str, Field(pattern=r"^[0-9]{1,16}(\.[0-9]{1,4})?$")]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class MoneyAnswer(BaseModel):
    """Money in an answer: like MoneyModel, and may be negative (a balance, a reversal)."""

    amount: str
    currency: str

    @classmethod
    def of(cls, money: Money) -> "MoneyAnswer":
        """`money` as the API shows it."""
        return cls(amount=money.decimal_text(), currency=money.currency)


@lru_cache(maxsize=4_096)
def _leaf_types(annotation: Any) -> frozenset[Any]:
    """The plain types a value under `annotation` may have; containers stand for what they hold."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _leaf_types(arguments[0])
    if origin is Literal:
        return frozenset(type(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return frozenset().union(*(_leaf_types(argument) for argument in arguments))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _leaf_types(arguments[1])
    if origin is not None:
        return frozenset().union(*(_leaf_types(a) for a in arguments if a is not Ellipsis))
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return frozenset(type(member.value) for member in annotation)
    return frozenset({annotation})


def _check_value(value: Any, leaves: frozenset[Any]) -> None:
    if isinstance(value, list):
        for item in value[:LIST_ITEMS_MAX]:
            _check_value(item, leaves)
    elif isinstance(value, dict):
        if not any(isinstance(leaf, type) and issubclass(leaf, BaseModel) for leaf in leaves):
            for item in value.values():
                _check_value(item, leaves)
    elif isinstance(value, bool):
        if not leaves & {bool, Any, object}:
            raise PydanticCustomError("bool_not_allowed", "must not be true or false")
    elif isinstance(value, int | Decimal):
        _check_number(value, leaves)
    elif isinstance(value, str):
        _check_text(value, leaves)


def _check_number(value: int | Decimal, leaves: frozenset[Any]) -> None:
    if leaves <= _NOT_NUMBERS:
        raise PydanticCustomError("number_not_allowed", "must not be a number")
    if isinstance(value, Decimal) and int in leaves and not leaves & {float, Decimal, Any, object}:
        raise PydanticCustomError("int_type", "must be a whole number")


def _check_text(text: str, leaves: frozenset[Any]) -> None:
    if refused_character(text):
        raise PydanticCustomError("text_control_character", "must not hold control characters")
    if leaves & {str, Any, object}:
        return
    if leaves <= {int, float, bool, type(None)}:
        raise PydanticCustomError("text_not_allowed", "must not be a string")
    if Decimal in leaves and not _DECIMAL_TEXT.fullmatch(text):
        raise PydanticCustomError("decimal_malformed", "must be a plain decimal such as 12.34")
    if datetime in leaves and not _INSTANT_TEXT.fullmatch(text):
        raise PydanticCustomError("instant_malformed", "must be a time with its zone such as 2026-01-31T12:00:00Z")
    if date in leaves and datetime not in leaves and not _DATE_TEXT.fullmatch(text):
        raise PydanticCustomError("date_malformed", "must be a date such as 2026-01-31")
