"""The route class of every JSON door: bodies, queries and paths are judged before FastAPI sees them."""

from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from typing import Any, Final, TypeVar
from urllib.parse import unquote_to_bytes

from fastapi import Request, Response
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect
from starlette.types import Receive

from shared.runtime.problem import (
    FieldError,
    Problem,
    body_too_large,
    field_invalid,
    safe_field,
    unsupported_media_type,
    validation_failed,
)
from shared.runtime.strict_json import JsonInvalid, loads

BODY_BYTES_MAX: Final = 65_536
"""A batch of 100 conversions with every field at its limit."""

QUERY_PARAMETERS_MAX: Final = 64

_MESSAGES: Final = {
    "uuid_parsing": "must be a UUID",
    "uuid_type": "must be a UUID",
    "url_parsing": "must be a URL",
    "union_tag_invalid": "names no known variant",
    "extra_forbidden": "is not a field of this body",
    "missing": "is required",
    "enum": "is not one of the allowed values",
    "string_unicode": "must be text in UTF-8",
}
"""Our words where pydantic's would repeat a piece of the input, or say less."""


Result = TypeVar("Result")
FirstDependency = Callable[[Request], Awaitable[Result]]
_FIRST = "tributary_runs_first"


def runs_first(dependency: FirstDependency[Result]) -> FirstDependency[Result]:
    """Mark a dependency that settles who asks, so that it answers before anything the caller sent is judged.

    A stranger with a malformed body hears 401, not what is wrong with it. FastAPI runs the dependency again for its
    value: it must be cheap the second time (keep the result in `request.state`). Takes the request only.
    """
    setattr(dependency, _FIRST, True)
    return dependency


def _first_dependencies(dependant: Dependant) -> Iterator[FirstDependency[Any]]:
    for dependency in dependant.dependencies:
        if dependency.call is not None and hasattr(dependency.call, _FIRST):
            yield dependency.call
        yield from _first_dependencies(dependency)


async def read_body(receive: Receive, *, limit_bytes: int = BODY_BYTES_MAX) -> bytes:
    """The whole body of an ASGI request. Raises Problem 413 as soon as it is over the limit, ClientDisconnect."""
    chunks, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit_bytes:
            raise body_too_large(limit_bytes)
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)


def read_query(query_string: bytes) -> dict[str, str]:
    """The parameters of a raw query, percent-decoded once, `+` as blank.

    Raises Problem 422 naming the parameter: not UTF-8 (half characters included), a zero character, a name twice.
    """
    parameters: dict[str, str] = {}
    pairs = [pair for pair in query_string.split(b"&") if pair]
    if len(pairs) > QUERY_PARAMETERS_MAX:
        raise field_invalid("query", "query_too_long", f"has at most {QUERY_PARAMETERS_MAX} parameters")
    for pair in pairs:
        raw_name, _, raw_value = pair.partition(b"=")
        name = _query_text(raw_name, "query")
        if name in parameters:
            raise field_invalid(safe_field(name), "parameter_repeated", "appears twice")
        parameters[name] = _query_text(raw_value, safe_field(name))
    return parameters


def _query_text(raw: bytes, field: str) -> str:
    return _text(unquote_to_bytes(raw.replace(b"+", b" ")), field)


def _text(octets: bytes, field: str) -> str:
    if b"\x00" in octets:
        raise field_invalid(field, "nul_not_allowed", "must not hold a zero character")
    try:
        return octets.decode("utf-8")
    except UnicodeDecodeError:
        raise field_invalid(field, "not_utf8", "must be UTF-8") from None


def parse_json(body: bytes) -> Any:
    """`strict_json.loads` for a door: its refusals as Problem 422 naming the field (`body` when there is none)."""
    try:
        return loads(body)
    except JsonInvalid as fault:
        field = safe_field(fault.field_path) or "body"
        raise field_invalid(field, fault.code, fault.message) from None


def is_json(content_type: str | None) -> bool:
    """True for `application/json`, with or without `charset=utf-8`."""
    media_type, _, parameters = (content_type or "").partition(";")
    if media_type.strip().lower() != "application/json":
        return False
    return parameters.strip().lower().replace('"', "") in ("", "charset=utf-8", "charset=utf8")


def problem_of_validation(errors: Iterable[Any]) -> Problem:
    """Pydantic's error list as Problem 422, without any of the input it quotes."""
    return validation_failed([_field_error(error) for error in errors])


def _field_error(error: Any) -> FieldError:
    location = [str(part) for part in error["loc"]]
    field = ".".join(location[1:]) if len(location) > 1 else (location[0] if location else "body")
    kind = str(error["type"])
    message = _MESSAGES.get(kind) or str(error["msg"]).removeprefix("Value error, ")
    return FieldError(safe_field(field), kind, message)


class _ReadRequest(Request):
    """A request whose body has been read and parsed already."""

    def __init__(self, request: Request, body: bytes, parsed: Any) -> None:
        super().__init__(request.scope, request.receive)
        self._read_bytes = body
        self._parsed = parsed

    async def body(self) -> bytes:
        """The bytes read before."""
        return self._read_bytes

    async def json(self) -> Any:
        """The value parsed before."""
        return self._parsed


class StrictRoute(APIRoute):
    """A FastAPI route that takes JSON only, through strict_json, up to `body_bytes_max`.

    Use it as `APIRouter(route_class=StrictRoute)`; create_app refuses a router with another class.
    """

    body_bytes_max = BODY_BYTES_MAX

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler behind our checks."""
        handle = super().get_route_handler()
        takes_body = self.body_field is not None
        gates = list(_first_dependencies(self.dependant))

        async def handle_strictly(request: Request) -> Response:
            for gate in gates:
                await gate(request)
            _check_path(request)
            read_query(request.scope["query_string"])
            if takes_body:
                request = await self._read(request)
            return await handle(request)

        return handle_strictly

    async def _read(self, request: Request) -> Request:
        declared = request.headers.get("content-length", "0")
        if declared.isascii() and declared.isdigit() and int(declared[:20]) > self.body_bytes_max:
            raise body_too_large(self.body_bytes_max)
        body = await read_body(request.receive, limit_bytes=self.body_bytes_max)
        if not body:
            return _ReadRequest(request, b"", None)
        if not is_json(request.headers.get("content-type")) or "content-encoding" in request.headers:
            raise unsupported_media_type()
        return _ReadRequest(request, body, parse_json(body))


def _check_path(request: Request) -> None:
    """Refuse a path parameter with a zero character, or one whose bytes were not UTF-8."""
    for name, value in request.path_params.items():
        if isinstance(value, str) and ("\x00" in value or "\ufffd" in value):
            raise field_invalid(name, "path_malformed", "must be UTF-8 without a zero character")
