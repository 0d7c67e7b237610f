"""Every refusal over HTTP: RFC 9457 problem+json with a stable code, a request id, and never the caller's input."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from starlette.types import Send

from shared.kernel.errors import InvalidValue

PROBLEM_CONTENT_TYPE: Final = "application/problem+json"
ERRORS_MAX: Final = 50
"""Faults listed in one answer: enough to mend a form by, too few to make a hostile body expensive."""

FIELD_CHARACTERS_MAX: Final = 120
"""Longest field path shown; deeper or longer ones are cut."""

_FIELD_STRANGE = re.compile(r"[^A-Za-z0-9_.\[\]-]", re.ASCII)

Headers = list[tuple[bytes, bytes]]


def safe_field(path: str) -> str:
    """`path` fit to be shown: a caller chooses the names of unknown fields, so strange characters become `?`."""
    return _FIELD_STRANGE.sub("?", path[:FIELD_CHARACTERS_MAX])


@dataclass(frozen=True, slots=True)
class FieldError:
    """One fault in one field. field: dotted path, `conversions.3.amount`. message: for people, echoes no input."""

    field: str
    code: str
    message: str


class Problem(Exception):
    """A refusal with its HTTP status. `code` is stable and snake_case; `detail` is for people and echoes no input."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str = "",
        *,
        title: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}")
        self.status = status
        self.code = code
        self.title = title if title is not None else _phrase(status)
        self.detail = detail
        self.errors = tuple(errors[:ERRORS_MAX])
        self.headers = dict(headers or {})

    def document(self, request_id: str) -> dict[str, Any]:
        """The JSON object of this problem."""
        return {
            "type": f"urn:tributary:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
            "request_id": request_id,
            "errors": [{"field": e.field, "code": e.code, "message": e.message} for e in self.errors],
        }


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def problem_response(problem: Problem, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, ASGI headers (content type, length, the problem's own, X-Request-Id) and body of `problem`."""
    body = json.dumps(problem.document(request_id), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    headers: Headers = [
        (b"content-type", PROBLEM_CONTENT_TYPE.encode("ascii")),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode("ascii", "replace")),
    ]
    headers += [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in problem.headers.items()]
    return problem.status, headers, body


async def send_problem(send: Send, problem: Problem, request_id: str) -> int:
    """Answer a plain ASGI request with `problem`; gives the status sent."""
    status, headers, body = problem_response(problem, request_id)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
    return status


def bad_request(code: str = "bad_request", detail: str = "The request cannot be understood.") -> Problem:
    """400."""
    return Problem(400, code, detail)


def unauthenticated(code: str = "unauthenticated", detail: str = "A valid API key is needed.") -> Problem:
    """401 with `WWW-Authenticate: Bearer`. Wrong and missing credentials look the same."""
    return Problem(401, code, detail, headers={"WWW-Authenticate": "Bearer"})


def forbidden(code: str, detail: str) -> Problem:
    """403."""
    return Problem(403, code, detail)


def role_not_allowed() -> Problem:
    """403: the key is good, its role is not for this."""
    return Problem(403, "role_not_allowed", "This key's role may not do this.")


def not_found(code: str = "not_found", detail: str = "There is no such thing here.") -> Problem:
    """404, also for what belongs to somebody else."""
    return Problem(404, code, detail)


def method_not_allowed(allowed: Sequence[str], *, reason: str | None = None) -> Problem:
    """405 with `Allow`, sorted. reason: why not, where there is more to say than that the path has other methods."""
    detail = "This path has other methods." if reason is None else reason
    return Problem(405, "method_not_allowed", detail, headers={"Allow": ", ".join(sorted(allowed))})


def conflict(code: str, detail: str) -> Problem:
    """409."""
    return Problem(409, code, detail)


def body_too_large(limit_bytes: int) -> Problem:
    """413. No `Connection: close`: closing with unread input would reset the connection before this is read."""
    return Problem(413, "body_too_large", f"The body may have at most {limit_bytes} bytes.")


def unsupported_media_type() -> Problem:
    """415."""
    return Problem(415, "unsupported_media_type", "Send the body as application/json.")


def validation_failed(errors: Sequence[FieldError], detail: str = "Some fields are not valid.") -> Problem:
    """422 naming each field."""
    return Problem(422, "validation_failed", detail, errors=errors)


def field_invalid(field: str, code: str, message: str) -> Problem:
    """422 naming one field."""
    return validation_failed([FieldError(field, code, message)], detail=f"{field}: {message}")


def problem_of_value(error: InvalidValue) -> Problem:
    """422 for a value that the kernel refused, naming its field."""
    return field_invalid(safe_field(error.field), error.code, error.message)


def rate_limited(retry_after_seconds: int, headers: Mapping[str, str] | None = None) -> Problem:
    """429 with `Retry-After` (whole seconds, at least 1). headers: the `RateLimit` fields, if any."""
    retry = {"Retry-After": str(max(1, retry_after_seconds))}
    return Problem(429, "rate_limited", "Too many requests for now.", headers={**(headers or {}), **retry})


def internal_error() -> Problem:
    """500: says nothing but the request id, under which the log has the rest."""
    return Problem(500, "internal_error", "Something broke on our side; quote the request id.")


def unavailable(
    retry_after_seconds: int = 1, code: str = "unavailable", detail: str = "Try again in a moment."
) -> Problem:
    """503 with `Retry-After`: nothing was taken, the same request may be sent again."""
    return Problem(503, code, detail, headers={"Retry-After": str(max(1, retry_after_seconds))})


def upstream_timeout() -> Problem:
    """504: whether the request took effect is unknown; repeat it with the same idempotency key."""
    return Problem(504, "upstream_timeout", "The answer took too long.", headers={"Retry-After": "1"})
