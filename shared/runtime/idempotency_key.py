"""The `Idempotency-Key` header: read alike, and refused in the same words, wherever a write may be sent again."""

import re
from typing import Final

from starlette.requests import Request

from shared.runtime.problem import Problem, conflict, field_invalid

HEADER: Final = "Idempotency-Key"
REPLAYED_HEADER: Final = "Idempotent-Replayed"
"""`true` on an answer that was given before."""

_KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
_RETRY_AFTER_SECONDS: Final = 1


async def idempotency_key(request: Request) -> str | None:
    """The key of a request, None without one; also a FastAPI dependency. Raises Problem 422 naming the header."""
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1 or not _KEY.fullmatch(given[0]):
        raise field_invalid(HEADER, "idempotency_key_invalid", "must be 1 to 128 visible ASCII characters, once")
    return given[0]


def in_progress() -> Problem:
    """409: the first request under the key is still running."""
    problem = conflict("idempotency_in_progress", "A request with this Idempotency-Key is running; wait for it.")
    problem.headers["Retry-After"] = str(_RETRY_AFTER_SECONDS)
    return problem


def key_reused() -> Problem:
    """422: the key was used for another request."""
    return Problem(422, "idempotency_key_reused", "This Idempotency-Key belongs to another request.")
