"""No hostile body, query or path breaks an application, is taken for something else, or comes back in the answer."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.unit.http.orders_app import JSON, PLANTED, Order, assert_problem, calling, make_app

HOSTILE = [
    "NaN", "Infinity", "-Infinity", "1e400", "-1e400", "-0", "1e-400", "9" * 10_000, str(2**63), str(2**31), "true",
    "false", "null", '"5"', '" 5 "', '"1_000"', '"0x10"', '"١٢"', "5.0", "1.5", "-1", "0", '""', '" "', "[]", "{}",
    '"\\u0000"', '"a\\u0000b"', '"\\ud800"', '"\\u202eabc"', '"\\u2028"', '"\\u0085"', '"a\\r\\nb"', '"\\u001b[31m"',
    '"' + "e\u0301" * 5_000 + '"', '"\u200d"', "[" * 5_000, "[" * 40 + "]" * 40, '"2026-13-01"', "1700000000",
    '"1700000000"', '"2026-01-01T00:00:00"', '"99999-01-01T00:00:00Z"', '{"amount":"1","amount":"2"}',
    '{"amount":1.5,"currency":"EUR"}', '{"amount":"1.00000","currency":"EUR"}', '{"amount":"-1","currency":"EUR"}',
    '[{"quantity":true,"price":{"amount":"1","currency":"EUR"}}]',
    '[{"quantity":1,"price":{"amount":"١","currency":"EUR"}}]',
    '[{"quantity":1,"price":{"amount":" 5 ","currency":"eur"}}]', f'"{PLANTED}"', f'{{"{PLANTED}":1}}', 
    "[true]", '["1"]', "[[1]]",
]  # fmt: skip


@pytest.mark.parametrize("field", [*Order.model_fields, "unknown<script>"])
async def test_no_hostile_value_in_any_field_breaks_us_or_comes_back(field: str) -> None:
    async with calling(make_app()) as client:
        for value in HOSTILE:
            others = "" if field == "name" else '"name":"x",'
            body = f"{{{others}{json.dumps(field)}:{value}}}".encode("utf-8", "surrogatepass")

            answer = await client.post("/v1/orders", content=body, headers=JSON)

            assert answer.status_code in (201, 422), (value[:40], answer.text)
            if answer.status_code == 422:
                document = assert_problem(answer, 422)
                assert document["code"] == "validation_failed"
                assert document["errors"]
                assert "<script>" not in answer.text
                if field != "unknown<script>" and f'{{"{PLANTED}"' not in value:
                    assert PLANTED not in answer.text
                    assert document["errors"][0]["field"].split(".")[0] in (field, "body")


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("count", "true", "bool_not_allowed"),
        ("count", '"5"', "text_not_allowed"),
        ("count", "5.0", "int_type"),
        ("plain", "5", "number_not_allowed"),
        ("plain", "true", "bool_not_allowed"),
        ("plain", '"a\\tb"', "text_control_character"),
        ("is_test", "1", "number_not_allowed"),
        ("is_test", '"true"', "text_not_allowed"),
        ("ratio", '"1_0"', "decimal_malformed"),
        ("ratio", '"١"', "decimal_malformed"),
        ("at", "1700000000", "number_not_allowed"),
        ("at", '"1700000000"', "instant_malformed"),
        ("at", '"2026-01-01T00:00:00"', "instant_malformed"),
        ("on", '"2026-01-01T00:00:00Z"', "date_malformed"),
        ("numbers", "[1,true]", "bool_not_allowed"),
        ("by_name", '{"a":"1"}', "text_not_allowed"),
        ("name", '" x"', "text_not_trimmed"),
        ("name", '""', "text_length"),
        ("name", '"' + "x" * 21 + '"', "text_length"),
        ("name", '"x\\u202ey"', "text_control_character"),
        ("kind", '"c"', "literal_error"),
        ("count", "NaN", "json_number_not_finite"),
        ("count", '1,"count":2', "json_duplicate_key"),
    ],
)
async def test_no_type_is_taken_for_another(field: str, value: str, code: str) -> None:
    others = "" if field == "name" else '"name":"x",'
    async with calling(make_app()) as client:
        answer = await client.post("/v1/orders", content=f'{{{others}"{field}":{value}}}'.encode(), headers=JSON)

        errors = assert_problem(answer, 422)["errors"]
        assert [(error["field"], error["code"]) for error in errors] == [(field, code)]


async def test_a_nested_fault_is_named_by_its_dotted_path() -> None:
    lines = (
        '[{"quantity":1,"price":{"amount":"1.5","currency":"EUR"}},{"quantity":2,"price":{"amount":1,"currency":"x"}}]'
    )
    async with calling(make_app()) as client:
        answer = await client.post("/v1/orders", content=f'{{"name":"x","lines":{lines}}}', headers=JSON)

        fields = [error["field"] for error in assert_problem(answer, 422)["errors"]]
        assert fields == ["lines.1.price.amount", "lines.1.price.currency"]


async def test_good_values_arrive_with_their_own_type() -> None:
    body = {
        "name": "Ünïcode 👩‍👩‍👧 שלום",
        "count": 2**40,
        "at": "2026-01-01T00:00:00.5+02:00",
        "on": "2026-01-01",
        "colour": "red",
        "is_test": True,
        "note": "",
    }
    async with calling(make_app()) as client:
        answer = await client.post("/v1/orders", content=json.dumps(body)[:-1] + ',"ratio":1.10}', headers=JSON)

        assert answer.status_code == 201
        assert answer.json()["ratio"] == "Decimal('1.10')"
        assert answer.json()["count"] == str(2**40)
        assert answer.json()["name"] == repr(body["name"])


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{}", {}, 415),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {"content-type": "application/json; charset=utf-16"}, 415),
        (b"{}", {**JSON, "content-encoding": "gzip"}, 415),
        (b"name=x", {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b" " * 65_537, JSON, 413),
        (b"", JSON, 422),
        (b" " * 65_536, JSON, 422),
        (b'\xef\xbb\xbf{"name":"x"}', JSON, 422),
        ('{"name":"x"}'.encode("utf-16"), JSON, 422),
        (b'{"name":"x"}', {"content-type": 'Application/JSON; charset="UTF-8"'}, 201),
    ],
)
async def test_a_body_is_json_of_bounded_size(content: bytes, headers: dict[str, str], status: int) -> None:
    async with calling(make_app()) as client:
        answer = await client.post("/v1/orders", content=content, headers=headers)

        assert answer.status_code == status, answer.text


async def test_a_body_that_hides_its_size_is_cut_off_at_the_limit() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(80):
            yield b" " * 1_000

    async with calling(make_app()) as client:
        assert_problem(await client.post("/v1/orders", content=pieces(), headers=JSON), 413)


@pytest.mark.parametrize(
    ("target", "field"),
    [
        ("/v1/orders?limit=0", "limit"),
        ("/v1/orders?limit=201", "limit"),
        ("/v1/orders?limit=1_0", "limit"),
        ("/v1/orders?limit=%D9%A1", "limit"),
        ("/v1/orders?limit=%205%20", "limit"),
        ("/v1/orders?limit=1&limit=2", "limit"),
        ("/v1/orders?limit=" + "9" * 5_000, "limit"),
        ("/v1/orders?q=%00", "q"),
        ("/v1/orders?q=%ED%A0%80", "q"),
        ("/v1/orders?q=%FF", "q"),
        ("/v1/orders?q=a%0D%0Ab", "q"),
        ("/v1/orders?%00=1", "query"),
        ("/v1/orders?" + "&".join(f"a{n}=1" for n in range(65)), "query"),
        ("/v1/orders?affiliate_id=2147483648", "affiliate_id"),
        ("/v1/orders?cursor=%21", "cursor"),
        ("/v1/orders?cursor=bnVsbA", "cursor"),
        ("/v1/orders/0", "order_id"),
        ("/v1/orders/2147483648", "order_id"),
        ("/v1/orders/1_0", "order_id"),
        ("/v1/orders/%D9%A1", "order_id"),
        ("/v1/orders/NaN", "order_id"),
        ("/v1/names/%00", "name"),
        ("/v1/names/%FF", "name"),
        ("/v1/names/%ED%A0%80", "name"),
        ("/v1/names/a%0Ab", "name"),
    ],
)
async def test_a_bad_query_or_path_is_422_and_names_the_field(target: str, field: str) -> None:
    async with calling(make_app()) as client:
        document = assert_problem(await client.get(target), 422)

        assert document["errors"][0]["field"] == field
