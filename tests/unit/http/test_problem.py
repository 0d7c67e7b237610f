"""Problems have one shape, in FastAPI and in plain ASGI."""

import json

import pytest
from starlette.types import Message

from shared.runtime import problem as problems
from shared.runtime.problem import FieldError, Problem, problem_response, safe_field, send_problem


def test_the_document_has_every_member_and_the_headers_go_along() -> None:
    status, headers, body = problem_response(problems.rate_limited(7, {"RateLimit": '"key";r=0;t=7'}), "r1")

    assert status == 429
    assert dict(headers)[b"retry-after"] == b"7"
    assert dict(headers)[b"ratelimit"] == b'"key";r=0;t=7'
    assert dict(headers)[b"content-length"] == str(len(body)).encode()
    assert json.loads(body) == {
        "type": "urn:tributary:problem:rate_limited",
        "title": "Too Many Requests",
        "status": 429,
        "code": "rate_limited",
        "detail": "Too many requests for now.",
        "request_id": "r1",
        "errors": [],
    }


@pytest.mark.parametrize(
    ("made", "status"),
    [
        (problems.bad_request(), 400),
        (problems.unauthenticated(), 401),
        (problems.forbidden("offer_of_another_merchant", "Not yours."), 403),
        (problems.role_not_allowed(), 403),
        (problems.not_found(), 404),
        (problems.method_not_allowed(["GET"]), 405),
        (problems.conflict("x", "y"), 409),
        (problems.body_too_large(5), 413),
        (problems.unsupported_media_type(), 415),
        (problems.field_invalid("a", "b", "c"), 422),
        (problems.internal_error(), 500),
        (problems.unavailable(), 503),
        (problems.upstream_timeout(), 504),
        (Problem(599, "odd"), 599),
    ],
)
def test_each_constructor_has_its_status(made: Problem, status: int) -> None:
    assert (made.status, made.document("r")["status"]) == (status, status)


def test_field_names_of_the_callers_choosing_are_made_harmless() -> None:
    assert safe_field("lines.0.<script>\r\n\u2028x") == "lines.0.?script????x"
    assert len(safe_field("a" * 10_000)) == problems.FIELD_CHARACTERS_MAX


def test_the_list_of_errors_is_bounded() -> None:
    many = [FieldError(str(n), "x", "y") for n in range(1_000)]

    assert len(problems.validation_failed(many).errors) == problems.ERRORS_MAX


async def test_plain_asgi_sends_it_too() -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    assert await send_problem(send, problems.unavailable(3), "r1") == 503
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
