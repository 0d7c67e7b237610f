"""How a merchant signs a postback, written from the public description alone.

Query: `sig` is the HMAC-SHA256 in hexadecimal over the raw query before `&sig=`, which comes last. Bodies: header
`Tributary-Signature: t=…,v1=…` over `t.body`, with `merchant_id` in the query.
"""

import hashlib
import hmac
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlencode

from tests.demo.sender import Request, api_request

Way = Literal["query_hmac", "query_token", "form", "json", "api", "api_batch"]
WAYS: tuple[Way, ...] = ("query_hmac", "query_token", "form", "json", "api")


@dataclass(frozen=True, slots=True)
class MerchantAccount:
    """A merchant's own view of itself: what it was given when it signed up."""

    merchant_id: int
    api_key: str
    secret: str
    token: str


def postback_request(account: MerchantAccount, way: Way, fields: Mapping[str, str]) -> Request:
    """`fields` as a postback of `account`, freshly signed."""
    own = {"merchant_id": str(account.merchant_id)}
    if way == "query_hmac":
        query = urlencode({**own, **fields, "ts": str(int(time.time()))})
        return Request("GET", f"/postback?{query}&sig={_hmac(account.secret, query.encode())}")
    if way == "query_token":
        return Request("GET", "/postback?" + urlencode({**own, **fields, "token": account.token}))
    if way == "form":
        body = urlencode(fields).encode()
        return _signed_body(account, body, "application/x-www-form-urlencoded")
    if way == "json":
        return _signed_body(account, json.dumps(dict(fields)).encode(), "application/json")
    return api_request("POST", "/v1/conversions", account.api_key, dict(fields))


def _signed_body(account: MerchantAccount, body: bytes, content_type: str) -> Request:
    at = str(int(time.time()))
    signature = f"t={at},v1={_hmac(account.secret, at.encode() + b'.' + body)}"
    headers = {"Tributary-Signature": signature, "Content-Type": content_type}
    return Request("POST", f"/postback?merchant_id={account.merchant_id}", headers, body)


def _hmac(secret: str, message: bytes) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
