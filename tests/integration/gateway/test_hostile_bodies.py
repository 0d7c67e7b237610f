"""The hostile JSON corpus on every write of the control plane: refused with a field or a code, never a 500 (T41)."""

import json
from typing import Any

import httpx
import pytest

from shared.runtime.pagination import encode_cursor
from tests.factories.gateway import flat_term, offer_body, percentage_term
from tests.integration.gateway.conftest import ADMIN_KEY, GatewayClient, Network

RAW_VALUES = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "-0",
    "1e-400",
    "9" * 10_000,
    "9223372036854775808",
    "-1",
    "0",
    "1.5",
    "true",
    "null",
    '""',
    '" "',
    '"1"',
    '"\\u0000"',
    '"\\ud800"',
    '"\\u202Eabc"',
    '"a\\u0301"',
    "[]",
    "{}",
    "[[[]]]",
    '"\\u0661"',
    '"1_000"',
    '"0x10"',
    '" 5 "',
    '"' + "x" * 60_000 + '"',
    '"' + "\\u0301" * 9_000 + '"',
    "[" * 200 + "]" * 200,
    '"\\n"',
    '"\\t"',
    '{"$ne": 1}',
    '"\' OR 1=1 --"',
    '"../../etc/passwd"',
]
FIELDS = [
    "merchant_id",
    "name",
    "landing_template",
    "allowed_hosts",
    "window",
    "late_hours",
    "validation_days",
    "hold_days",
    "click_id_parameter",
    "referrer_policy",
    "fallback_url",
    "terms",
]
ACCEPTABLE = {
    ("late_hours", "0"),
    ("hold_days", "0"),
    ("validation_days", "0"),
    ("allowed_hosts", "[]"),
    ("fallback_url", "null"),
    ("late_hours", "-0"),
    ("hold_days", "-0"),
    ("validation_days", "-0"),
}
NAMES_TAKEN = {'"1"', '"a\\u0301"', '"\\u0661"', '"1_000"', '"0x10"', '"\' OR 1=1 --"', '"../../etc/passwd"'}


async def _post_raw(
    client: GatewayClient, path: str, body: bytes, content_type: str = "application/json"
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {client.key}", "Content-Type": content_type}
    return await client.http.post(path, content=body, headers=headers)


def _with_raw(body: dict[str, Any], field: str, raw: str) -> bytes:
    return json.dumps({**body, field: "@@"}).replace('"@@"', raw).encode()


@pytest.mark.parametrize("field", FIELDS)
async def test_hostile_values_in_an_offer_are_refused(admin: GatewayClient, network: Network, field: str) -> None:
    for raw in RAW_VALUES:
        answer = await _post_raw(admin, "/v1/offers", _with_raw(offer_body(network.merchant_id), field, raw))

        if (
            (field, raw) in ACCEPTABLE
            or (field == "name" and raw in NAMES_TAKEN)
            or (field, raw) == ("click_id_parameter", '"1"')
        ):
            continue
        if field == "click_id_parameter" and raw in ('"1_000"', '"0x10"'):
            continue
        assert answer.status_code in (413, 422), (field, raw[:40], answer.text[:200])
        assert answer.json()["code"]
        assert len(answer.content) < 5_000


@pytest.mark.parametrize("field", ["event", "kind", "rate_percent", "margin_percent"])
async def test_hostile_values_in_a_percentage_are_refused(admin: GatewayClient, network: Network, field: str) -> None:
    await _refuse_in_term(admin, network, percentage_term(), field, allowed={'"1"', '"1_000"', '"0x10"', "null"})


@pytest.mark.parametrize("field", ["amount", "margin"])
async def test_hostile_values_in_money_are_refused(admin: GatewayClient, network: Network, field: str) -> None:
    await _refuse_in_term(admin, network, flat_term(), field, allowed={"null"})
    for raw in RAW_VALUES:
        for part in ("amount", "currency"):
            if (part, raw) == ("amount", '"1"'):
                continue
            money = _with_raw({"amount": "1", "currency": "EUR"}, part, raw).decode()
            body = _with_raw(
                offer_body(network.merchant_id), "terms", f"[{_with_raw(flat_term(), field, money).decode()}]"
            )
            answer = await _post_raw(admin, "/v1/offers", body)
            assert answer.status_code in (413, 422), (field, part, raw[:40], answer.text[:200])


async def _refuse_in_term(
    admin: GatewayClient, network: Network, term: dict[str, Any], field: str, *, allowed: set[str]
) -> None:
    for raw in RAW_VALUES:
        terms = f"[{_with_raw(term, field, raw).decode()}]"
        answer = await _post_raw(admin, "/v1/offers", _with_raw(offer_body(network.merchant_id), "terms", terms))
        if raw in allowed and answer.status_code == 201:
            continue
        assert answer.status_code in (413, 422), (field, raw[:40], answer.text[:200])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b'{"name":"a","name":"b"}',
        b'\xef\xbb\xbf{"name":"a"}',
        b'{"name":"\xff"}',
        '{"name":"a"}'.encode("utf-16"),
        b'{"name":"a"}garbage',
        b'{"name":"a","other":1}',
        b'{"name":' + b"[" * 20_000,
    ],
)
@pytest.mark.parametrize("path", ["/v1/merchants", "/v1/offers", "/v1/enrolments", "/v1/keys"])
async def test_bodies_that_are_not_json_objects_are_refused(admin: GatewayClient, path: str, body: bytes) -> None:
    assert (await _post_raw(admin, path, body)).status_code == 422


async def test_other_content_types_are_415(admin: GatewayClient) -> None:
    answer = await _post_raw(admin, "/v1/merchants", b"name=a", "application/x-www-form-urlencoded")

    assert answer.status_code == 415


@pytest.mark.parametrize(
    "number", ["0", "-1", "+1", "01", "1_0", "1e3", "2147483648", "99999999999999999999", "١", "abc", "1%00"]
)
async def test_hostile_ids_in_a_path_are_refused(admin: GatewayClient, number: str) -> None:
    for path in ("/v1/merchants/{}", "/v1/offers/{}/versions", "/v1/enrolments/{}", "/v1/offers/1/versions/{}"):
        answer = await admin.call("GET", path.format(number))
        assert answer.status_code in (404, 422)


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=201",
        "limit=a",
        "cursor=x",
        "cursor=" + "a" * 600,
        "limit=1&limit=2",
        "offer_id=0",
        "status=none",
        "cursor=eyJpZCI6LTF9eA",
        "status=%00",
        "status=%FF",
    ],
)
async def test_hostile_queries_are_refused(admin: GatewayClient, query: str) -> None:
    answer = await admin.call("GET", f"/v1/enrolments?{query}")

    assert answer.status_code == 422
    assert ADMIN_KEY not in answer.text


@pytest.mark.parametrize("number", [-(2**63), -1, 2**31, 2**63 - 1])
async def test_cursors_to_numbers_that_no_row_has_are_refused(
    admin: GatewayClient, network: Network, number: int
) -> None:
    cursor = encode_cursor({"id": number})
    for path in ("merchants", "affiliates", "offers", f"offers/{network.offer_id}/versions", "enrolments"):
        answer = await admin.call("GET", f"/v1/{path}?cursor={cursor}")

        assert (answer.status_code, answer.json()["errors"][0]["code"]) == (422, "cursor_invalid"), path
