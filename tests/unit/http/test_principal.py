"""A principal token is good for one service, one minute, and one signer."""

import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest

from shared.runtime.database import Tenant
from shared.runtime.keyring import Keyring, add_key, create_keyring_file, promote_key, retire_key
from shared.runtime.principal import Principal, PrincipalSigner, PrincipalVerifier, tenant_of
from shared.runtime.problem import Problem

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MERCHANT = Principal("merchant", "k7", 7, None, "203.0.113.9", "abc123")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A fresh keyring file."""
    create_keyring_file(tmp_path / "keys.json")
    return tmp_path / "keys.json"


def claims(**changes: Any) -> dict[str, Any]:
    """The claims of MERCHANT, signed at NOW, with `changes` (None removes)."""
    issued_at = int(NOW.timestamp())
    good = {
        "iss": "gateway",
        "aud": "clicks",
        "iat": issued_at,
        "exp": issued_at + 60,
        "role": "merchant",
        "key_id": "k7",
        "merchant_id": 7,
        "affiliate_id": None,
        "client_address": "203.0.113.9",
        "request_id": "abc123",
    }
    return good | changes


def refusal(verifier: PrincipalVerifier, token: str, now: datetime = NOW) -> Problem:
    """The Problem that `token` meets."""
    with pytest.raises(Problem) as met:
        verifier.verify(token, now)
    return met.value


def test_what_is_signed_for_a_service_is_read_by_it(path: Path) -> None:
    keyring = Keyring.load(path)
    token = PrincipalSigner(keyring).sign(MERCHANT, audience="clicks", now=NOW)

    assert PrincipalVerifier(keyring, "clicks").verify(token, NOW + timedelta(seconds=59)) == MERCHANT


def test_another_service_a_later_minute_and_a_future_one_refuse_it(path: Path) -> None:
    keyring = Keyring.load(path)
    token = PrincipalSigner(keyring).sign(MERCHANT, audience="clicks", now=NOW)

    met = [
        refusal(PrincipalVerifier(keyring, "conversions"), token),
        refusal(PrincipalVerifier(keyring, "clicks"), token, NOW + timedelta(seconds=60)),
        refusal(PrincipalVerifier(keyring, "clicks"), token, NOW - timedelta(seconds=6)),
    ]

    assert {(problem.status, problem.code, problem.detail) for problem in met} == {
        (401, "unauthenticated", "The request carries no valid principal.")
    }


def test_a_rotated_key_verifies_until_it_is_retired(path: Path) -> None:
    keyring = Keyring.load(path)
    verifier = PrincipalVerifier(keyring, "clicks")
    token = PrincipalSigner(keyring).sign(MERCHANT, audience="clicks", now=NOW)

    promote_key(path, add_key(path))
    keyring.reload()
    assert verifier.verify(token, NOW) == MERCHANT
    assert PrincipalSigner(keyring).sign(MERCHANT, audience="clicks", now=NOW) != token

    retire_key(path, 1, not_after=NOW - timedelta(seconds=1))
    keyring.reload()
    assert refusal(verifier, token).status == 401


@pytest.mark.parametrize(
    "changes",
    [
        {"role": "root"},
        {"role": ["admin"]},
        {"role": "admin"},
        {"role": "affiliate"},
        {"merchant_id": None},
        {"merchant_id": True},
        {"merchant_id": "7"},
        {"merchant_id": 0},
        {"merchant_id": 2**31},
        {"affiliate_id": 8},
        {"iss": "elsewhere"},
        {"aud": ["clicks", "conversions"]},
        {"exp": int(NOW.timestamp()) + 3600},
        {"exp": "soon"},
        {"iat": None},
        {"request_id": "a\r\nb"},
        {"request_id": ""},
        {"key_id": 7},
    ],
)
def test_claims_that_do_not_fit_are_refused(path: Path, changes: dict[str, Any]) -> None:
    keyring = Keyring.load(path)
    token = jwt.encode(claims(**changes), keyring.signing.secret, algorithm="HS256", headers={"kid": "1"})

    assert refusal(PrincipalVerifier(keyring, "clicks"), token).status == 401


def test_a_missing_claim_is_refused(path: Path) -> None:
    keyring = Keyring.load(path)
    for name in claims():
        short = {key: value for key, value in claims().items() if key != name}
        token = jwt.encode(short, keyring.signing.secret, algorithm="HS256", headers={"kid": "1"})

        assert refusal(PrincipalVerifier(keyring, "clicks"), token).status == 401


@pytest.mark.parametrize("kid", [None, "2", "01x", "../keys", "-1", "9999", 1])
def test_unknown_and_odd_key_ids_are_refused(path: Path, kid: Any) -> None:
    keyring = Keyring.load(path)
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": kid}).encode()).rstrip(b"=").decode()
    token = jwt.encode(claims(), keyring.signing.secret, algorithm="HS256")
    forged = f"{header}.{token.partition('.')[2]}"

    assert refusal(PrincipalVerifier(keyring, "clicks"), forged).status == 401


def test_other_algorithms_and_damaged_tokens_are_refused(path: Path) -> None:
    keyring = Keyring.load(path)
    verifier = PrincipalVerifier(keyring, "clicks")
    token = PrincipalSigner(keyring).sign(MERCHANT, audience="clicks", now=NOW)
    none = jwt.encode(claims(), "", algorithm="none", headers={"kid": "1"})
    other = jwt.encode(claims(), keyring.signing.secret * 2, algorithm="HS512", headers={"kid": "1"})
    foreign = jwt.encode(claims(), b"x" * 32, algorithm="HS256", headers={"kid": "1"})
    middle = len(token) // 2
    damaged = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]

    for bad in (none, other, foreign, damaged, token + "x" * 3_000, "", "a.b.c", "é", "." * 50):
        assert refusal(verifier, bad).status == 401


def test_only_merchants_and_affiliates_are_tenants() -> None:
    affiliate = replace(MERCHANT, role="affiliate", merchant_id=None, affiliate_id=8)

    assert tenant_of(MERCHANT) == Tenant(merchant_id=7)
    assert tenant_of(affiliate) == Tenant(affiliate_id=8)
    assert tenant_of(replace(MERCHANT, role="finance", merchant_id=None)) is None
    assert tenant_of(replace(MERCHANT, role="admin", merchant_id=None)) is None
