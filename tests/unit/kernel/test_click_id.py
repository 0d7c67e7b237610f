"""The click ID proves itself, and nothing else is one."""

import base64
import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.click_id import (
    CLICK_ID_CHARACTERS,
    Click,
    ClickFlags,
    ClickIdInvalid,
    read_click_id,
    sign_click_id,
    spell_click_id,
    verify_click_id,
)
from shared.kernel.ids import ID_MAX, OFFER_VERSION_MAX

SECRET, OTHER_SECRET = b"a" * 32, b"b" * 32

clicks = st.builds(
    Click,
    flags=st.integers(0, 63).map(ClickFlags),
    clicked_at=st.integers(0, 2**40 - 1).map(lambda ms: datetime(2020, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)),
    nonce=st.integers(0, 2**32 - 1),
    offer_id=st.integers(1, ID_MAX),
    affiliate_id=st.integers(1, ID_MAX),
    offer_version=st.integers(1, OFFER_VERSION_MAX),
)


def _click_id(key_id: int = 1, secret: bytes = SECRET) -> bytes:
    click = Click(ClickFlags.NONE, datetime(2026, 11, 24, 8, tzinfo=UTC), 7, 11, 22, 3)
    return sign_click_id(click, key_id=key_id, secret=secret)


@given(clicks, st.integers(0, 255))
def test_what_was_signed_is_read_back(click: Click, key_id: int) -> None:
    spelling = spell_click_id(sign_click_id(click, key_id=key_id, secret=SECRET))

    assert len(spelling) == CLICK_ID_CHARACTERS
    assert set(spelling) <= set("0123456789abcdefghijklmnopqrstuv")
    assert verify_click_id(read_click_id(spelling), {key_id: SECRET}) == click


@given(clicks, st.randoms())
def test_a_change_of_case_is_the_same_click(click: Click, random_case: random.Random) -> None:
    click_id = sign_click_id(click, key_id=1, secret=SECRET)
    spelling = "".join(random_case.choice((c.upper(), c)) for c in spell_click_id(click_id))

    assert read_click_id(spelling) == click_id


def test_every_single_bit_is_protected() -> None:
    click_id = _click_id()

    for bit in range(len(click_id) * 8):
        flipped = bytearray(click_id)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ClickIdInvalid):
            verify_click_id(bytes(flipped), dict.fromkeys(range(2), SECRET))


def test_every_other_length_is_refused() -> None:
    spelling = spell_click_id(_click_id())

    for length in [*range(CLICK_ID_CHARACTERS), CLICK_ID_CHARACTERS + 1, CLICK_ID_CHARACTERS + 8]:
        with pytest.raises(ClickIdInvalid, match="click_id"):
            read_click_id((spelling * 2)[:length])


@given(st.text(min_size=CLICK_ID_CHARACTERS, max_size=CLICK_ID_CHARACTERS))
def test_text_is_read_only_if_it_is_spelt_canonically(text: str) -> None:
    try:
        click_id = read_click_id(text)
    except ClickIdInvalid:
        return
    assert base64.b32hexencode(click_id).decode() == text.upper()


@given(st.binary(min_size=35, max_size=35))
def test_random_bytes_never_verify(click_id: bytes) -> None:
    with pytest.raises(ClickIdInvalid):
        verify_click_id(click_id, dict.fromkeys(range(256), SECRET))


def test_a_key_that_is_not_known_or_not_the_same_refuses() -> None:
    with pytest.raises(ClickIdInvalid) as unknown:
        verify_click_id(_click_id(key_id=9), {1: SECRET})
    with pytest.raises(ClickIdInvalid) as forged:
        verify_click_id(_click_id(secret=OTHER_SECRET), {1: SECRET})

    assert unknown.value.code == "click_id_unknown_key"
    assert forged.value.code == "click_id_forged"


def test_both_keys_verify_during_a_rotation() -> None:
    secrets = {1: SECRET, 2: OTHER_SECRET}

    assert verify_click_id(_click_id(1, SECRET), secrets) == verify_click_id(_click_id(2, OTHER_SECRET), secrets)
