"""Hostile JSON is refused with a code and the field's path, and never with a value of the body."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.runtime.strict_json import JsonInvalid, loads

PLANTED = "planted-value"
CODES = {
    "json_encoding",
    "json_malformed",
    "json_too_deep",
    "json_duplicate_key",
    "json_number_not_finite",
    "json_number_too_long",
    "json_number_out_of_range",
    "json_nul",
    "json_lone_surrogate",
}


@pytest.mark.parametrize(
    ("body", "code", "field_path"),
    [
        (b"", "json_malformed", ""),
        (b"{", "json_malformed", ""),
        (b'{"a":1,}', "json_malformed", ""),
        (b'{"a":1}x', "json_malformed", ""),
        (b"{'a':1}", "json_malformed", ""),
        (b'{"a":01}', "json_malformed", ""),
        (b'{"a":+1}', "json_malformed", ""),
        (b'{"a":.5}', "json_malformed", ""),
        (b'{"a":0x10}', "json_malformed", ""),
        (b'{"a":1_000}', "json_malformed", ""),
        ('{"a":١٢}'.encode(), "json_malformed", ""),
        (b'{"a":"x\ny"}', "json_malformed", ""),
        (b'\xef\xbb\xbf{"a":1}', "json_encoding", ""),
        ('{"a":1}'.encode("utf-16"), "json_encoding", ""),
        ('{"a":1}'.encode("utf-16-le"), "json_encoding", ""),
        ('{"a":1}'.encode("utf-32-be"), "json_encoding", ""),
        (b'{"a":"\xff"}', "json_encoding", ""),
        (b'{"a":"\xed\xa0\x80"}', "json_encoding", ""),
        (b'{"a":NaN}', "json_number_not_finite", "a"),
        (b'{"a":[1,Infinity]}', "json_number_not_finite", "a.1"),
        (b"-Infinity", "json_number_not_finite", ""),
        (b'{"a":{"b":1e400}}', "json_number_out_of_range", "a.b"),
        (b'{"a":1e-400}', "json_number_out_of_range", "a"),
        (b'{"a":0e999}', "json_number_out_of_range", "a"),
        (b'{"a":1e99999999999999999999999999}', "json_number_out_of_range", "a"),
        (b'{"a":' + b"9" * 10_000 + b"}", "json_number_too_long", "a"),
        (b'{"a":0.' + b"1" * 40 + b"}", "json_number_too_long", "a"),
        (b'{"a":1,"a":2}', "json_duplicate_key", "a"),
        (b'{"a":[{"b":1,"c":2,"b":1}]}', "json_duplicate_key", "a.0.b"),
        (b'{"a":1,"\\u0061":2}', "json_duplicate_key", "a"),
        (b'{"a":"x\\u0000y"}', "json_nul", "a"),
        (b'{"a":{"x\\u0000":1}}', "json_nul", "a"),
        (b'{"a":"\\ud800"}', "json_lone_surrogate", "a"),
        (b'{"a":"\\udc00\\ud800"}', "json_lone_surrogate", "a"),
        (b'{"\\ud800":1}', "json_lone_surrogate", ""),
        (b"[" * 33 + b"]" * 33, "json_too_deep", ""),
        (b'{"a":' * 100_000, "json_too_deep", ""),
        (b"[" * 100_000, "json_too_deep", ""),
    ],
)
def test_hostile_bodies_are_refused_by_name(body: bytes, code: str, field_path: str) -> None:
    with pytest.raises(JsonInvalid) as refusal:
        loads(body)

    assert (refusal.value.code, refusal.value.field_path) == (code, field_path)


def test_no_float_is_ever_made() -> None:
    assert loads(b'{"a":1.10,"b":2,"c":1e3,"d":-0.0}') == {
        "a": Decimal("1.10"),
        "b": 2,
        "c": Decimal("1e3"),
        "d": Decimal("-0.0"),
    }
    assert str(loads(b"1.10")) == "1.10"


def test_what_the_limits_allow_passes() -> None:
    assert loads(b"[" * 32 + b"]" * 32)
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"
    assert loads(b"9223372036854775808") == 2**63
    assert loads(b"9" * 40) == int("9" * 40)


@pytest.mark.parametrize("flaw", ['"planted-value\\u0000"', '"\\ud800planted-value"', "NaN", "1e400", "[], x"])
def test_a_refusal_says_nothing_of_the_values(flaw: str) -> None:
    with pytest.raises(JsonInvalid) as refusal:
        loads(f'{{"field":["{PLANTED}",{flaw}]}}'.encode())

    assert PLANTED not in f"{refusal.value} {refusal.value.field_path}"


_fractions = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=6)
_numbers = st.integers(-(10**38), 10**38) | _fractions
_texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**38), 10**38) | _texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_texts, inner, max_size=4),
    max_leaves=20,
)


@given(_values)
def test_clean_values_come_back_as_they_were(value: Any) -> None:
    assert loads(json.dumps(value).encode()) == value
    assert loads(json.dumps(value, ensure_ascii=False).encode()) == value


@given(_numbers)
def test_numbers_keep_every_digit(number: int | Decimal) -> None:
    assert loads(f"{Decimal(number):f}".encode()) == number


def code_of(body: bytes) -> str:
    """The code `body` is refused with, "" when it is not."""
    try:
        value = loads(body)
    except JsonInvalid as refusal:
        refusal.field_path.encode("utf-8")
        return refusal.code
    json.dumps(value, default=str, ensure_ascii=False).encode("utf-8")
    return ""


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_value_or_a_named_refusal(body: bytes) -> None:
    assert code_of(body) in ("", *CODES)


@given(_values, st.integers(0, 400), st.binary(max_size=3))
def test_damaged_bodies_give_a_value_or_a_named_refusal(value: Any, at: int, damage: bytes) -> None:
    body = bytearray(json.dumps(value).encode())
    at %= len(body) + 1
    body[at:at] = damage

    assert code_of(bytes(body)) in ("", *CODES)
