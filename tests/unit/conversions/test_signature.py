"""Who a postback comes from: only the right bytes, secret, time and address."""

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.signature import (
    Credential,
    PostbackUnauthenticated,
    Signed,
    read_signature_header,
    split_signed_query,
    token_hash,
    verify_signed,
    verify_token,
)
from shared.kernel.ids import new_id

NOW = datetime(2026, 11, 24, 9, 0, tzinfo=UTC)
AT = int(NOW.timestamp())


def credential(secret: bytes = b"secret", **overrides: Any) -> Credential:
    known: dict[str, Any] = {"id": new_id(), "merchant_id": 1, "kind": "hmac", "secret": secret}
    return Credential(**(known | overrides))


def signed(message: bytes = b"a=1", secret: bytes = b"secret", at_seconds: int | None = AT) -> Signed:
    return Signed(message, (hmac.new(secret, message, hashlib.sha256).hexdigest(),), at_seconds)


def outcome_of(claim: Signed, *credentials: Credential, address: str = "192.0.2.1", now: datetime = NOW) -> Any:
    try:
        return verify_signed(claim, credentials, address=address, now=now)
    except PostbackUnauthenticated as refusal:
        return refusal.outcome


def test_the_right_secret_verifies_and_either_of_two_while_rotating() -> None:
    old, new = credential(b"old", valid_until=NOW + timedelta(hours=24)), credential(b"new")

    assert outcome_of(signed(secret=b"old"), old, new) is old
    assert outcome_of(signed(secret=b"new"), old, new) is new


def test_a_rotated_secret_ends_after_its_last_second() -> None:
    old = credential(valid_until=NOW)

    assert outcome_of(signed(), old) is old
    assert outcome_of(signed(at_seconds=AT + 1), old, now=NOW + timedelta(seconds=1)) is Outcome.SIGNATURE_INVALID


@pytest.mark.parametrize(("seconds", "good"), [(300, True), (-300, True), (301, False), (-301, False)])
def test_the_time_may_be_three_hundred_seconds_away(seconds: int, good: bool) -> None:
    mine = credential()

    assert (outcome_of(signed(at_seconds=AT + seconds), mine) is mine) == good


def test_no_time_is_no_signature_in_time() -> None:
    assert outcome_of(signed(at_seconds=None), credential()) is Outcome.TIMESTAMP_OUTSIDE


def test_an_unknown_merchant_answers_as_a_wrong_signature_does() -> None:
    assert outcome_of(signed()) is outcome_of(signed(secret=b"other"), credential()) is Outcome.SIGNATURE_INVALID


@given(st.binary(min_size=1, max_size=60), st.integers(0, 10_000), st.integers(1, 255))
def test_one_byte_changed_does_not_verify(message: bytes, place: int, change: int) -> None:
    changed = bytearray(message)
    changed[place % len(message)] ^= change

    claim = Signed(bytes(changed), signed(message).signatures, AT)

    assert outcome_of(claim, credential()) is Outcome.SIGNATURE_INVALID


def test_addresses_are_those_of_the_credential() -> None:
    mine = credential(networks=(ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")))

    assert outcome_of(signed(), mine, address="192.0.2.9") is mine
    assert outcome_of(signed(), mine, address="2001:db8::1") is mine
    assert outcome_of(signed(), mine, address="::ffff:192.0.2.9") is mine
    assert outcome_of(signed(), mine, address="198.51.100.1") is Outcome.ADDRESS_NOT_ALLOWED
    assert outcome_of(signed(), mine, address="nowhere") is Outcome.ADDRESS_NOT_ALLOWED


def test_a_token_is_compared_by_its_hash_and_is_no_signing_secret() -> None:
    mine = credential(token_hash("tok"), kind="token")

    assert verify_token("tok", [mine], address="", now=NOW) is mine
    with pytest.raises(PostbackUnauthenticated):
        verify_token("tok2", [mine], address="", now=NOW)
    assert outcome_of(signed(secret=mine.secret), mine) is Outcome.SIGNATURE_INVALID


SIG = "a" * 64


@pytest.mark.parametrize(
    ("query", "outcome"),
    [
        (b"a=1", Outcome.SIGNATURE_MISSING),
        (f"a=1&sig={SIG}&b=2".encode(), Outcome.SIGNATURE_INVALID),
        (f"a=1&sig={SIG}&sig={SIG}".encode(), Outcome.SIGNATURE_INVALID),
        (f"sig={SIG}&a=1&sig={SIG}".encode(), Outcome.SIGNATURE_INVALID),
        (f"a=1&sig={SIG.upper()}".encode(), Outcome.SIGNATURE_INVALID),
        (b"a=1&sig=\xff", Outcome.SIGNATURE_INVALID),
        (b"a=1&sig=", Outcome.SIGNATURE_INVALID),
    ],
)
def test_the_signature_comes_last_and_once(query: bytes, outcome: Outcome) -> None:
    with pytest.raises(PostbackUnauthenticated) as refusal:
        split_signed_query(query)

    assert refusal.value.outcome is outcome


def test_the_signed_part_is_kept_as_it_was_sent() -> None:
    assert split_signed_query(f"a=%7e%2F+b&sig={SIG}".encode()) == (b"a=%7e%2F+b", SIG)


@pytest.mark.parametrize(
    "header", ["", "t=1", f"v1={SIG}", f"t=x,v1={SIG}", f"t=1,t=2,v1={SIG}", "t=1,v1=zz", "t=٣,v1=" + SIG]
)
def test_a_malformed_header_is_no_signature(header: str) -> None:
    with pytest.raises(PostbackUnauthenticated):
        read_signature_header(header, b"")


def test_a_header_may_carry_two_signatures() -> None:
    claim = read_signature_header(f"t={AT},v1={SIG},v1={signed(f'{AT}.x'.encode()).signatures[0]}", b"x")
    mine = credential()

    assert outcome_of(claim, mine) is mine
