"""JSON from strangers: what RFC 8259 leaves open is refused here, with a code and the path of the field.

Numbers that are not whole are `Decimal`, never float.
"""

import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from typing import Any, Final

DEPTH_MAX: Final = 32
"""Deepest nesting; our deepest own body has four levels."""

NUMBER_CHARACTERS_MAX: Final = 40
"""Longest number: any amount fits many times over, and int() stays cheap."""

EXPONENT_MAX: Final = 40
"""Largest decimal exponent either way: 1e400 must not become a 400-digit amount."""


class JsonInvalid(ValueError):
    """A body that is not acceptable JSON.

    field_path: dotted, from the top of the body, "" when the fault has no field. code: stable. message: for people.
    None of them holds a value of the body.
    """

    def __init__(self, field_path: str, code: str, message: str) -> None:
        super().__init__(message)
        self.field_path = field_path
        self.code = code
        self.message = message


class _Flaw:
    """Stands where a refused value stood until the walk, which knows the path, reports it."""

    __slots__ = ("code", "key", "message")

    def __init__(self, code: str, message: str, key: str = "") -> None:
        self.code = code
        self.message = message
        self.key = key


def loads(body: bytes, *, max_depth: int = DEPTH_MAX) -> Any:
    """The value of a JSON text in UTF-8 without BOM.

    Raises JsonInvalid: json_encoding (BOM, UTF-16, not UTF-8), json_malformed, json_too_deep, json_duplicate_key,
    json_number_not_finite, json_number_too_long, json_number_out_of_range, json_nul, json_lone_surrogate.
    """
    text = _decode(body)
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise JsonInvalid("", "json_malformed", f"the body is not JSON: it breaks at {where}") from None
    except RecursionError:
        raise JsonInvalid("", "json_too_deep", f"nested deeper than {max_depth}") from None
    _check(value, max_depth)
    return value


def _decode(body: bytes) -> str:
    if body.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise JsonInvalid("", "json_encoding", "send UTF-8 without a byte order mark")
    if b"\x00" in body:
        raise JsonInvalid("", "json_encoding", "send UTF-8; the body holds zero bytes")
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise JsonInvalid("", "json_encoding", "the body is not UTF-8") from None


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    made: dict[str, Any] = {}
    for name, value in pairs:
        if name in made:
            return _Flaw("json_duplicate_key", "the name appears twice in one object", key=name)
        made[name] = value
    return made


def _constant(_: str) -> Any:
    return _Flaw("json_number_not_finite", "NaN and Infinity are not JSON")


def _integer(digits: str) -> Any:
    if len(digits) > NUMBER_CHARACTERS_MAX:
        return _TOO_LONG
    return int(digits)


def _fraction(digits: str) -> Any:
    if len(digits) > NUMBER_CHARACTERS_MAX:
        return _TOO_LONG
    try:
        number = Decimal(digits)
    except InvalidOperation:
        return _OUT_OF_RANGE
    # A zero's own exponent is not its size: 0e999 would pass adjusted() of some zeros, and print as 999 zeros.
    exponent = int(number.as_tuple().exponent)
    if abs(number.adjusted()) > EXPONENT_MAX or abs(exponent) > EXPONENT_MAX:
        return _OUT_OF_RANGE
    return number


_TOO_LONG: Final = _Flaw("json_number_too_long", f"a number has at most {NUMBER_CHARACTERS_MAX} characters")
_OUT_OF_RANGE: Final = _Flaw(
    "json_number_out_of_range", f"must be zero or between 1e-{EXPONENT_MAX} and 1e{EXPONENT_MAX}"
)
_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_pairs, parse_constant=_constant, parse_int=_integer, parse_float=_fraction, strict=True
)


def _check(value: Any, max_depth: int) -> None:
    """Raise for the first flaw in document order. Iterative: a hostile body must not find our own stack's end."""
    _check_leaf(value, "")
    stack = [_children(value, "")]
    while stack:
        if len(stack) > max_depth:
            raise JsonInvalid("", "json_too_deep", f"nested deeper than {max_depth}")
        try:
            path, child = next(stack[-1])
        except StopIteration:
            stack.pop()
            continue
        _check_leaf(child, path)
        if isinstance(child, dict | list):
            stack.append(_children(child, path))


def _children(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    prefix = f"{path}." if path else ""
    if isinstance(value, dict):
        for name, child in value.items():
            _check_text(name, path)
            yield prefix + name, child
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield f"{prefix}{index}", child


def _check_leaf(value: Any, path: str) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, _Flaw):
        if value.key:
            path = f"{path}.{value.key}" if path else value.key
        raise JsonInvalid(_printable(path), value.code, value.message)


def _check_text(text: str, path: str) -> None:
    if "\x00" in text:
        raise JsonInvalid(_printable(path), "json_nul", "must not hold a zero character")
    if text.isascii():
        return
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise JsonInvalid(_printable(path), "json_lone_surrogate", "must not hold half a character") from None


def _printable(path: str) -> str:
    return path.encode("utf-8", "replace").decode("utf-8")
