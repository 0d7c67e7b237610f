"""Cursors survive the round trip and nothing else is taken for one."""

import base64
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.ids import ID_MAX
from shared.runtime.pagination import (
    cursor_id,
    cursor_integer,
    cursor_parsed,
    cursor_text,
    decode_cursor,
    encode_cursor,
    page_document,
    page_of,
)
from shared.runtime.problem import Problem

_texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=10)
_positions = st.dictionaries(_texts, _texts | st.integers(-(2**63), 2**63 - 1) | st.none(), max_size=3)


@given(_positions)
def test_a_cursor_gives_back_its_position(position: dict[str, str | int | None]) -> None:
    assert decode_cursor(encode_cursor(position)) == position


@given(st.text(max_size=60))
def test_garbage_is_a_problem_of_the_cursor_field(garbage: str) -> None:
    try:
        assert isinstance(decode_cursor(garbage), dict)
    except Problem as problem:
        refused = problem
        assert (refused.status, refused.errors[0].field) == (422, "cursor")


@pytest.mark.parametrize(
    "text", ['{"a":1.5}', '{"a":[1]}', '{"a":1,"a":2}', "[]", "5", '{"a":"\\u0000"}', '{"a":NaN}', "{", '{"b":1}']
)
def test_only_the_keys_and_types_of_a_position_pass(text: str) -> None:
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")

    with pytest.raises(Problem):
        decode_cursor(cursor, keys=["a"])


def test_values_are_read_by_type() -> None:
    ref = uuid4()
    position = decode_cursor(encode_cursor({"id": 5, "ref": str(ref), "big": 2**63, "yes": True}))

    assert cursor_integer(position, "id") == 5
    assert cursor_text(position, "ref") == str(ref)
    assert cursor_parsed(position, "ref", UUID) == ref
    for key in ("ref", "big", "yes", "missing"):
        with pytest.raises(Problem):
            cursor_integer(position, key)
    for key in ("id", "missing"):
        with pytest.raises(Problem):
            cursor_parsed(position, key, UUID)


@pytest.mark.parametrize("number", [-(2**63), -1, ID_MAX + 1, 2**63 - 1, True, None, "1"])
def test_a_number_that_no_row_has_is_refused_before_the_database_would(number: int | str | None) -> None:
    for held in (0, ID_MAX):
        assert cursor_id({"id": held}, "id") == held

    with pytest.raises(Problem):
        cursor_id({"id": number}, "id")


def test_one_row_too_many_means_another_page() -> None:
    shown, following = page_of([1, 2, 3], 2, lambda row: {"id": row})

    assert (shown, decode_cursor(str(following))) == ([1, 2], {"id": 2})
    assert page_of([1, 2], 2, lambda row: {"id": row}) == ([1, 2], None)
    assert page_document([1], None) == {"items": [1], "next_cursor": None}
