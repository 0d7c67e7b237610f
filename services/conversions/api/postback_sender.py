"""Who sent a postback: the merchant behind the signature or the token, before anything else is believed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.signature import (
    Credential,
    PostbackUnauthenticated,
    Signed,
    parse_seconds,
    read_signature_header,
    split_signed_query,
    verify_signed,
    verify_token,
)
from services.conversions.usecases.credential_book import CredentialBook
from shared.kernel.ids import ID_MAX
from shared.runtime.problem import Problem, field_invalid
from shared.runtime.strict_route import parse_json, read_query

TOKEN_CHARACTERS_MAX: Final = 256

_MERCHANT_ID = re.compile(rb"(?:^|&)merchant_id=([^&]*)")
_TIME = re.compile(rb"(?:^|&)ts=([^&]*)")
_ID = re.compile(r"[1-9][0-9]{0,9}", re.ASCII)
_BEARER = re.compile(r"[Bb]earer ([!-~]{1,256})", re.ASCII)


@dataclass(frozen=True, slots=True)
class RawPostback:
    """One request, unread. body: empty for GET. Headers as text, "" when absent."""

    method: str
    query: bytes
    body: bytes
    content_type: str
    signature: str
    authorization: str
    address: str

    @property
    def transport(self) -> str:
        """query, form or json."""
        if not self.body:
            return "query"
        return "json" if self._media_type == "application/json" else "form"

    @property
    def is_signed_query(self) -> bool:
        """True when the query claims to carry its signature."""
        return self.query.startswith(b"sig=") or b"&sig=" in self.query

    @property
    def _media_type(self) -> str:
        return self.content_type.partition(";")[0].strip().lower()

    def read_fields(self) -> Mapping[str, Any]:
        """The postback's fields: of the body where there is one. Raises Problem 422 naming the field."""
        if not self.body:
            return read_query(self.query)
        if self._media_type == "application/x-www-form-urlencoded":
            return read_query(self.body)
        if self._media_type != "application/json":
            raise field_invalid("body", "content_type_unsupported", "send a form or application/json")
        fields = parse_json(self.body)
        if not isinstance(fields, dict):
            raise field_invalid("body", "object_expected", "must be one JSON object")
        return fields


@dataclass(frozen=True, slots=True)
class Sender:
    """An authenticated postback. fault: what is wrong with its fields, when they cannot even be read."""

    credential: Credential
    fields: Mapping[str, Any]
    fault: Problem | None = None


class SenderUnknown(Exception):
    """The request proved to be nobody's. claimed_merchant_id: a merchant we know, or None."""

    def __init__(self, outcome: Outcome, claimed_merchant_id: int | None) -> None:
        super().__init__(outcome.label)
        self.outcome = outcome
        self.claimed_merchant_id = claimed_merchant_id


def identify(raw: RawPostback, book: CredentialBook, now: datetime) -> Sender:
    """The sender of `raw`. Raises SenderUnknown; Problem 422 where a token lies in a body that cannot be read."""
    merchant_id = _single_id(_MERCHANT_ID, raw.query)
    try:
        if raw.signature:
            signed = read_signature_header(raw.signature, raw.body)
            return _fields_of(raw, _verify(signed, merchant_id, raw, book, now), merchant_id)
        if raw.is_signed_query:
            return _identify_query(raw, merchant_id, book, now)
        return _identify_token(raw, merchant_id, book, now)
    except PostbackUnauthenticated as refusal:
        known = merchant_id if merchant_id is not None and book.knows(merchant_id) else None
        raise SenderUnknown(refusal.outcome, known) from None


def _identify_query(raw: RawPostback, merchant_id: int | None, book: CredentialBook, now: datetime) -> Sender:
    if raw.body:
        # The query's signature does not cover the body, so it proves nothing about it.
        raise PostbackUnauthenticated(Outcome.SIGNATURE_MISSING)
    message, signature = split_signed_query(raw.query)
    times = _TIME.findall(message)
    at_seconds = parse_seconds(times[0].decode("latin-1")) if len(times) == 1 else None
    credential = _verify(Signed(message, (signature,), at_seconds), merchant_id, raw, book, now)
    unsigned = RawPostback(raw.method, message, b"", "", "", "", raw.address)
    return _fields_of(unsigned, credential, merchant_id)


def _verify(
    signed: Signed, merchant_id: int | None, raw: RawPostback, book: CredentialBook, now: datetime
) -> Credential:
    credentials = () if merchant_id is None else book.of_merchant(merchant_id)
    return verify_signed(signed, credentials, address=raw.address, now=now)


def _identify_token(raw: RawPostback, merchant_id: int | None, book: CredentialBook, now: datetime) -> Sender:
    bearer = _BEARER.fullmatch(raw.authorization)
    if bearer is not None:
        credential = _verify_token(bearer[1], merchant_id, raw, book, now)
        return _fields_of(raw, credential, merchant_id)
    in_query = read_query(raw.query)
    token = in_query.get("token")
    if token is not None:
        credential = _verify_token(token, merchant_id, raw, book, now)
        return _fields_of(raw, credential, merchant_id)
    if not raw.body:
        raise PostbackUnauthenticated(Outcome.SIGNATURE_MISSING)
    fields = raw.read_fields()
    token = fields.get("token")
    if not isinstance(token, str):
        raise PostbackUnauthenticated(Outcome.SIGNATURE_MISSING)
    claimed = merchant_id if merchant_id is not None else _read_id(str(fields.get("merchant_id")))
    credential = _verify_token(token, claimed, raw, book, now)
    return _checked(fields, credential, credential.merchant_id)


def _verify_token(
    token: str, merchant_id: int | None, raw: RawPostback, book: CredentialBook, now: datetime
) -> Credential:
    credentials = () if merchant_id is None else book.of_merchant(merchant_id)
    return verify_token(token[:TOKEN_CHARACTERS_MAX], credentials, address=raw.address, now=now)


def _fields_of(raw: RawPostback, credential: Credential, merchant_id: int | None) -> Sender:
    try:
        return _checked(raw.read_fields(), credential, merchant_id)
    except Problem as fault:
        return Sender(credential, {}, fault)


def _checked(fields: Mapping[str, Any], credential: Credential, merchant_id: int | None) -> Sender:
    named = fields.get("merchant_id")
    if named is not None and str(named) != str(merchant_id):
        fault = field_invalid("merchant_id", "merchant_id_mismatch", "is another merchant than the one that signed")
        return Sender(credential, {}, fault)
    return Sender(credential, fields)


def _single_id(pattern: re.Pattern[bytes], query: bytes) -> int | None:
    found = pattern.findall(query)
    return _read_id(found[0].decode("latin-1")) if len(found) == 1 else None


def _read_id(text: str) -> int | None:
    return int(text) if _ID.fullmatch(text) and int(text) <= ID_MAX else None
