"""Hostile values in every field, every way in: never a 5xx, nothing odd stored, no input echoed."""

import json
from typing import Any
from urllib.parse import quote

import pytest

from tests.factories.conversions import MERCHANT, TOKEN, ConversionsService, Way, signature_header, signed_query

FIELDS = [
    "click_id",
    "event",
    "order_id",
    "adjustment_id",
    "amount",
    "currency",
    "occurred_at",
    "coupon",
    "customer_id",
]
FIELDS += ["customer_status", "items", "sub1", "sub10", "test", "merchant_id", "unknown"]
MARK = "z9q-echo"
TEXTS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-0",
    "1e-400",
    "9" * 10_000,
    str(2**63),
    "-1",
    "0",
    "1.23456",
    "١٢",
    "1_000",
    "0x10",
    " 5 ",
    "true",
    "null",
    "[]",
    "{}",
    f"{MARK}\x00",
    f"{MARK}\r\nX-Evil: 1",
    f"{MARK}\u202e",
    f"{MARK}\u2028",
    f"{MARK}\ufeff",
    "e\u0301" * 2_000,
    "👩\u200d👩\u200d👧",
    "'; DROP TABLE conversion; --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "order:x",
    "%00",
    "\ud7ff\ue000",
    "A" * 70,
]
RAW = [
    "NaN",
    "Infinity",
    "1e400",
    "-1e400",
    "-0",
    "-0.0",
    "1e-400",
    "9" * 10_000,
    str(2**63),
    str(-(2**63)),
    "true",
    "null",
    "[]",
    "{}",
    "[[[[1]]]]",
    '"\\u0000"',
    '"\\ud800"',
    '"\\udc00x"',
    "1.0000000000000000000000000000000000000001",
    "0e999999999",
    '{"a":1,"a":2}',
]


def check(response: Any) -> None:
    assert response.status_code < 500, response.text
    body = response.text
    if response.status_code >= 400:
        assert MARK not in body
        assert response.json()["request_id"]


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("way", ["query", "form", "json"])
async def test_hostile_text_in_every_field(conversions: ConversionsService, field: str, way: Way) -> None:
    for text in TEXTS:
        fields = {"order_id": conversions.order(), field: text}
        response = await conversions.postback(fields, way)
        check(response)
        if response.status_code == 422:
            assert response.json()["errors"][0]["field"]


@pytest.mark.parametrize("field", FIELDS)
async def test_hostile_json_values_in_every_field(conversions: ConversionsService, field: str) -> None:
    merchant = conversions.as_role("merchant", MERCHANT) | {"Content-Type": "application/json"}
    for raw in RAW:
        order = json.dumps(conversions.order())
        body = f'{{"order_id": {order}, "{field}": {raw}}}' if field != "order_id" else f'{{"order_id": {raw}}}'
        encoded = body.encode()
        headers = {"Content-Type": "application/json", "Tributary-Signature": signature_header(encoded)}
        check(await conversions.client.post(f"/postback?merchant_id={MERCHANT}", content=encoded, headers=headers))
        check(await conversions.client.post("/v1/conversions", content=encoded, headers=merchant))


BODIES = [
    b"",
    b"[]",
    b"1",
    b'"x"',
    b"null",
    b"{",
    b"\xef\xbb\xbf{}",
    '{"order_id":"x"}'.encode("utf-16"),
    b"\xff\xfe\x00",
    b"[" * 100_000,
    b'{"a":' * 5_000,
    b'{"order_id":"x"}\x00',
    b'{"conversions": {}}',
    b'{"conversions": []}',
    b'{"conversions": [[[[]]]]}',
    b"order_id=%ff&token=x",
    b"&&&===&",
    b"=" * 1_000,
]


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/x-www-form-urlencoded", "text/xml", "", "a;b=\xff"]
)
async def test_hostile_bodies(conversions: ConversionsService, content_type: str) -> None:
    kind = {"Content-Type": content_type.encode("latin-1").decode("latin-1")} if content_type.isascii() else {}
    for body in BODIES:
        signed = kind | {"Tributary-Signature": signature_header(body)}
        path = f"/postback?merchant_id={MERCHANT}"
        check(await conversions.client.post(path, content=body, headers=signed))
        check(await conversions.client.post(path, content=body, headers=kind))
        check(await conversions.client.post(path, content=body, headers=kind | {"Authorization": f"Bearer {TOKEN}"}))
        merchant = conversions.as_role("merchant", MERCHANT)
        check(await conversions.client.post("/v1/conversions", content=body, headers=kind | merchant))


QUERIES = [
    "",
    "merchant_id=7",
    "merchant_id=7&sig=",
    "merchant_id=7&token=%00",
    "merchant_id=7&token=%ff",
    "merchant_id=7&merchant_id=8&token=tok_test&order_id=x",
    f"merchant_id=7&merchant%5Fid=8&token={TOKEN}&order_id=x",
    f"merchant_id=%37&token={TOKEN}&order_id=x",
    f"merchant_id=07&token={TOKEN}&order_id=x",
    f"merchant_id={2**31}&token={TOKEN}&order_id=x",
    f"merchant_id=-7&token={TOKEN}&order_id=x",
    f"merchant_id=7&token={TOKEN}&order_id=a&order_id=b",
    f"merchant_id=7&token={TOKEN}&order_id=%ed%a0%80",
    "&".join(f"p{number}=1" for number in range(500)),
]


@pytest.mark.parametrize("query", QUERIES)
async def test_hostile_queries(conversions: ConversionsService, query: str) -> None:
    response = await conversions.client.get("/postback?" + query)

    check(response)
    assert response.status_code in (401, 422)


async def test_a_parameter_twice_in_a_signed_query_names_it(conversions: ConversionsService) -> None:
    query = signed_query({"merchant_id": MERCHANT, "order_id": "a", "coupon": "b", "Coupon": "c"})
    assert (await conversions.client.get("/postback?" + query)).status_code in (200, 201, 409)
    twice = signed_query({"merchant_id": MERCHANT, "order_id": "a", "order%5Fid": "b"})
    assert (await conversions.client.get("/postback?" + twice)).status_code in (200, 201, 409)


PATHS = [
    "conversions/%00",
    "conversions/%ff",
    "conversions/order:%00/approve",
    "receipts/..%2f",
    "conversions/" + "9" * 900,
]


@pytest.mark.parametrize("path", PATHS)
async def test_hostile_paths(conversions: ConversionsService, path: str) -> None:
    merchant = conversions.as_role("merchant", MERCHANT)

    check(await conversions.client.get(f"/v1/{path}", headers=merchant))
    check(await conversions.client.post(f"/v1/{path}", headers=merchant, json={}))


@pytest.mark.parametrize("field", ["status", "offer_id", "order_id", "from", "to", "limit", "cursor", "merchant_id"])
async def test_hostile_filters(conversions: ConversionsService, field: str) -> None:
    for text in TEXTS:
        for resource in ("conversions", "receipts"):
            url = f"/v1/{resource}?{field}={quote(text.encode())}"
            check(await conversions.client.get(url, headers=conversions.as_role("merchant", MERCHANT)))
            check(await conversions.client.get(url, headers=conversions.as_role("admin")))


async def test_nothing_odd_is_stored(conversions: ConversionsService) -> None:
    rows = await conversions.rows(
        "SELECT order_id, coupon, customer_id, merchant_subs::text AS subs FROM conversion"
        " WHERE concat_ws(' ', order_id, coupon, customer_id, merchant_subs::text) ~ '[[:cntrl:]\u2028\u202e\ufeff]'"
    )

    assert rows == []
