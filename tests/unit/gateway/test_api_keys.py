"""API keys: one spelling, a public id, and a comparison that tells nothing."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.domain.api_keys import (
    KEY_ROLES,
    ApiKey,
    KeyRole,
    key_hash,
    key_id_of,
    key_matches,
    key_role_of,
    spell_key,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def _stored(spelling: str, **ends: datetime | None) -> ApiKey:
    return ApiKey(
        key_id=spelling.split("_")[2],
        role="admin",
        merchant_id=None,
        affiliate_id=None,
        label="key",
        secret_sha256=key_hash(spelling),
        replaces_key_id=None,
        created_at=NOW,
        expires_at=ends.get("expires_at"),
        revoked_at=ends.get("revoked_at"),
    )


@given(st.sampled_from(KEY_ROLES), st.binary(min_size=40, max_size=40))
def test_a_spelt_key_is_read_back(role: KeyRole, entropy: bytes) -> None:
    spelling = spell_key(role, entropy)

    assert (key_role_of(spelling), len(key_id_of(spelling) or "")) == (role, 8)
    assert key_matches(spelling, _stored(spelling))


@given(st.text(max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    assert key_id_of(text) is None
    assert key_id_of(f"trb_root_aaaaaaaa_{text}") is None


def test_another_secret_under_the_same_id_does_not_open() -> None:
    spelling = spell_key("admin", bytes(40))

    assert not key_matches(spelling[:-1] + "b", _stored(spelling))
    assert not key_matches(spelling, None)


def test_a_key_opens_until_its_end_and_not_at_it() -> None:
    key = _stored(spell_key("admin", bytes(40)), expires_at=NOW)

    assert key.opens_at(NOW - timedelta(microseconds=1))
    assert not key.opens_at(NOW)
    assert not _stored(spell_key("admin", bytes(40)), revoked_at=NOW).opens_at(NOW - timedelta(days=1))


def test_a_key_needs_all_its_randomness() -> None:
    with pytest.raises(ValueError, match="40 random bytes"):
        spell_key("admin", bytes(39))
