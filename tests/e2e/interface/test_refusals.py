"""Every refusal that can be provoked in the same way everywhere is the documented one, code and all."""

import json
import socket
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from deploy.interface.document import EXAMPLES, build_document
from tests.e2e.client import Answer, Client
from tests.e2e.interface.exchange import Documented, Filled, Judge, documented_operations, send
from tests.e2e.interface.world import World

OPERATIONS = list(documented_operations(build_document()))
KEYED = [each for each in OPERATIONS if each.roles != [""]]
ROLES = ("admin", "affiliate", "finance", "merchant")
NOWHERE: dict[str, Any] = {
    "version": 65_535,
    "key_id": "zzzzzzzz",
    **dict.fromkeys(("merchant_id", "affiliate_id", "offer_id", "enrolment_id"), 2_147_483_647),
    **dict.fromkeys(
        ("ref", "erasure_id", "commission_id", "receipt_id", "credential_id", "job_id"),
        "00000000-0000-0000-0000-000000000000",
    ),
}


def _cheap(each: Documented) -> Filled:
    """The request with ids that name nothing: refused before they matter."""
    example = json.loads((EXAMPLES / f"{each.name}.json").read_text())
    path = {name: NOWHERE.get(name, value) for name, value in example.get("path", {}).items()}
    return Filled(each.method.upper(), path, each.path, dict(example.get("query", {})), {}, example.get("body"))


def _assert_refused(judge: Judge, each: Documented, answer: Answer, status: int, code: str) -> None:
    assert (answer.status, answer.body and answer.body["code"]) == (status, code), answer.text
    assert judge.faults(each, answer) == []


@pytest.mark.parametrize("each", KEYED, ids=lambda each: each.name)
def test_a_stranger_hears_401_and_another_role_403(each: Documented, world: World, judge: Judge) -> None:
    request = _cheap(each)

    _assert_refused(judge, each, send(world, request, ""), 401, "unauthenticated")
    for role in ROLES:
        if role not in each.roles:
            _assert_refused(judge, each, send(world, request, role), 403, "role_not_allowed")


WITH_IDS = [each for each in KEYED if "{" in each.path]


@pytest.mark.parametrize("each", WITH_IDS, ids=lambda each: each.name)
def test_what_is_not_there_is_404(each: Documented, world: World, judge: Judge) -> None:
    for role in each.roles:
        request = _cheap(each)
        if "postback_credential" in each.name and role == "merchant" and "credential_id" in each.path:
            request.path = {**request.path, "merchant_id": world.merchant.merchant_id}
        answer = send(world, request, role)
        assert answer.status == 404, f"{role}: {answer.text}"
        assert judge.faults(each, answer) == []


@pytest.mark.parametrize("path", sorted({each.path for each in OPERATIONS}))
def test_another_method_is_405_and_the_right_ones_are_named(path: str, world: World, judge: Judge) -> None:
    each = next(each for each in OPERATIONS if each.path == path)
    allowed = sorted(other.method.upper() for other in OPERATIONS if other.path == path)

    answer = Client(world.public_url).send("PATCH", _cheap(each).target)

    assert (answer.status, answer.body["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"] == ", ".join(allowed)
    assert judge.schema_faults("/components/schemas/Problem", answer.body) == []


@pytest.mark.parametrize("each", OPERATIONS, ids=lambda each: each.name)
def test_a_body_too_large_is_413(each: Documented, world: World, judge: Judge) -> None:
    if each.method == "head":
        pytest.skip("an answer to HEAD has no body to read a code from")
    client = world.clients[each.roles[0]]
    too_much = b"x" * (each.operation["x-limits"]["body_max_bytes"] + 1)

    answer = client.send(each.method.upper(), _cheap(each).target, too_much, {"Content-Type": "application/json"})

    _assert_refused(judge, each, answer, 413, "body_too_large")


STRICT = [each for each in OPERATIONS if not each.path.startswith(("/c/", "/postback"))]


@pytest.mark.parametrize("each", STRICT, ids=lambda each: each.name)
def test_a_query_that_says_two_things_is_422(each: Documented, world: World, judge: Judge) -> None:
    request = _cheap(each)
    target = request.target + ("&" if "?" in request.target else "?") + "twice=1&twice=2"
    body = None if request.body is None else json.dumps(request.body).encode()

    answer = world.clients[each.roles[0]].send(request.method, target, body, {"Content-Type": "application/json"})

    _assert_refused(judge, each, answer, 422, "validation_failed")
    assert answer.body["errors"][0]["field"] == "twice"


WITH_BODY = [each for each in STRICT if "requestBody" in each.operation]


@pytest.mark.parametrize("each", WITH_BODY, ids=lambda each: each.name)
@pytest.mark.parametrize("body", [b"{", b"[]", b'{"unheard_of": 1, "unheard_of": 2}', b'{"name": NaN}'])
def test_a_body_that_is_not_one_is_422(each: Documented, body: bytes, world: World, judge: Judge) -> None:
    client = world.clients[each.roles[0]]

    answer = client.send(each.method.upper(), _cheap(each).target, body, {"Content-Type": "application/json"})

    assert (answer.status, answer.body["code"]) == (422, "validation_failed"), answer.text
    assert judge.faults(each, answer) == []


@pytest.mark.parametrize("each", WITH_BODY, ids=lambda each: each.name)
def test_a_body_of_another_kind_is_415(each: Documented, world: World, judge: Judge) -> None:
    client = world.clients[each.roles[0]]

    answer = client.send(each.method.upper(), _cheap(each).target, b"name=x", {"Content-Type": "text/plain"})

    _assert_refused(judge, each, answer, 415, "unsupported_media_type")


@pytest.mark.parametrize("each", OPERATIONS, ids=lambda each: each.name)
@pytest.mark.parametrize(
    ("extra", "status", "code"),
    [
        ("Host: two.example\r\n", 400, "request_malformed"),
        (f"X-Long: {'x' * 17_000}\r\n", 431, "headers_too_large"),
    ],
)
def test_what_is_no_good_http_is_refused_at_the_edge(
    each: Documented, extra: str, status: int, code: str, world: World, judge: Judge
) -> None:
    if each.method == "head":
        pytest.skip("an answer to HEAD has no body to read a code from")

    answer = _raw(world.public_url, f"{each.method.upper()} {_cheap(each).target} HTTP/1.1\r\nHost: x\r\n{extra}\r\n")

    _assert_refused(judge, each, answer, status, code)


def test_a_target_too_long_is_414(world: World, judge: Judge) -> None:
    each = next(each for each in OPERATIONS if each.name == "get_front_page")

    answer = _raw(world.public_url, f"GET /?{'x' * 8_300} HTTP/1.1\r\nHost: x\r\n\r\n")

    _assert_refused(judge, each, answer, 414, "target_too_long")


def _raw(public_url: str, request: str) -> Answer:
    """What the edge answers to bytes that no client library would send."""
    address = urlsplit(public_url)
    with socket.create_connection((address.hostname or "", address.port or 80), timeout=10) as connection:
        connection.sendall(request.encode())
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = httpx.Headers([(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)])
    return Answer(int(status_line.split()[1]), headers, body.decode())
