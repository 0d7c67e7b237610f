"""The one OpenAPI document over all public routes: the route table says which, the services' code how they look."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from deploy.interface.errors import refusal_examples, refusal_response, refusals_of, shared_responses
from deploy.interface.operations import OPERATIONS, PARAMETER_TEXTS, TAGS, Operation
from deploy.interface.schemas import PREFIX, SHARED, merged_schemas, one_line, tidy, used_schemas
from deploy.interface.security import SECURITY_SCHEMES, security_of
from deploy.interface.sources import Source, read_sources
from services.gateway.domain.routes import ROUTES, Route
from shared.runtime.idempotency_key import HEADER, REPLAYED_HEADER

EXAMPLES: Final = Path(__file__).parent / "examples"
VERSION: Final = "1"
_POSTBACK_STATUSES: Final = frozenset({403, 404, 409, 422})
_OVERVIEW: Final = """
Merchants pay only for results, and affiliates earn only for results they caused. Affiliates fetch referral links,
merchants report orders by postback, finance pulls statements that stay the same bytes for ever.

**Keys.** Every route under `/v1` takes an API key, as `Authorization: Bearer` or `X-API-Key`, one of them once. A key
has a role: admin, merchant, affiliate or finance. Merchants and affiliates see what is theirs; another's id is 404.

**Money** is a decimal string beside its currency. **Instants** are RFC 3339. **Lists** come in pages: pass
`next_cursor` as `cursor` until it is null.

**Refusals** are problem+json with a stable `code`; `errors` names each field. A path with other methods: 405.

**Writes that may be sent again**: with `Idempotency-Key` the first answer is stored with its effect and given again,
marked `Idempotent-Replayed`.

**Limits** are told by `RateLimit` and `RateLimit-Policy`; past them 429 with `Retry-After`. Every answer carries
`X-Request-Id`.
"""


class OperationIncomplete(Exception):
    """An operation lacks a line in operations.py, an example, or code behind its route. The message says which."""


@dataclass(frozen=True, slots=True)
class Described:
    """One route with all that is known of it. example: the content of its example file."""

    route: Route
    operation: Operation
    raw: Mapping[str, Any]
    example: Mapping[str, Any]


def build_document() -> dict[str, Any]:
    """The OpenAPI 3.1 document. Raises OperationIncomplete, ValueError for names that clash."""
    sources = read_sources()
    paths: dict[str, dict[str, Any]] = {}
    order = list(TAGS)
    for described in sorted(describe_routes(sources), key=lambda each: order.index(each.raw["tags"][0])):
        route = described.route
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(described)
    schemas = merged_schemas(sources)
    responses = shared_responses(paths)
    used_tags = {tag for item in paths.values() for operation in item.values() for tag in operation["tags"]}
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tributary", "version": VERSION, "description": one_line(_OVERVIEW)},
        "servers": [{"url": "/", "description": "This network"}],
        "tags": [{"name": name, "description": text} for name, text in TAGS.items() if name in used_tags],
        "paths": paths,
        "components": {
            "schemas": used_schemas(
                {"paths": paths, "responses": responses, "always": _references_to(SHARED)}, schemas
            ),
            "responses": responses,
            "examples": refusal_examples(),
            "securitySchemes": SECURITY_SCHEMES,
            "parameters": _PARAMETERS,
            "headers": _HEADERS,
        },
    }


def document_text(document: Mapping[str, Any]) -> str:
    """The document as it is committed and served."""
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def describe_routes(sources: list[Source]) -> Iterator[Described]:
    """Every public route with what its service, operations.py and its example say. Raises OperationIncomplete."""
    served = {
        (source.service, method.upper(), _plain(path)): raw
        for source in sources
        for path, item in source.paths.items()
        for method, raw in item.items()
    }
    for route in ROUTES:
        spelling = f"{route.method} {route.template}"
        raw = served.get((route.owner, route.method, _plain(route.template)))
        operation = OPERATIONS.get(spelling)
        if raw is None:
            raise OperationIncomplete(f"{spelling}: no router of {route.owner} serves it, as far as sources.py knows")
        if operation is None:
            raise OperationIncomplete(f"{spelling}: has no line in deploy/interface/operations.py")
        yield Described(route, operation, raw, read_example(operation.name, spelling))


def read_example(name: str, spelling: str) -> dict[str, Any]:
    """The example of one operation. Raises OperationIncomplete."""
    file = EXAMPLES / f"{name}.json"
    if not file.exists():
        raise OperationIncomplete(f"{spelling}: has no example; write deploy/interface/examples/{name}.json")
    example: dict[str, Any] = json.loads(file.read_text())
    return example


def _plain(template: str) -> str:
    """The template without its parameters' names: a service may call them otherwise."""
    return "/".join("{}" if part.startswith("{") else part for part in template.split("/"))


def _operation(described: Described) -> dict[str, Any]:
    route, operation, raw = described.route, described.operation, described.raw
    description = one_line(raw.get("description", ""))
    shown: dict[str, Any] = {
        "tags": raw["tags"],
        "operationId": operation.name,
        "summary": description.split("\n")[0].split(". ")[0].removesuffix("."),
        "description": f"{description}\n\n{_callers(route)}",
        "x-roles": sorted(route.roles),
        "x-limits": {
            "counted_per": route.metering,
            "body_max_bytes": route.body_max_bytes,
            "deadline_seconds": route.deadline_seconds,
        },
        "security": security_of(route),
    }
    parameters = list(_parameters(described))
    if parameters:
        shown["parameters"] = parameters
    if "requestBody" in raw:
        shown["requestBody"] = _request_body(raw["requestBody"], described.example.get("body"))
    shown["responses"] = _responses(described)
    return shown


def _callers(route: Route) -> str:
    if route.is_anonymous:
        return "Anyone may call it."
    return f"For role {' or '.join(sorted(route.roles))}."


def _parameters(described: Described) -> Iterator[dict[str, Any]]:
    examples = {**described.example.get("path", {}), **described.example.get("query", {})}
    headers = described.example.get("headers", {})
    for raw in described.raw.get("parameters", []):
        name = _public_parameter(described.route, raw)
        schema = tidy(_without_null(raw["schema"]), in_request=True)
        schema.pop("description", None)
        if name == "cursor":
            schema = {"$ref": f"{PREFIX}Cursor"}
        parameter = {
            "name": name,
            "in": raw["in"],
            "required": raw["required"],
            "description": raw.get("description") or PARAMETER_TEXTS.get(name, ""),
            "schema": schema,
        }
        given = headers if raw["in"] == "header" else examples
        yield parameter | ({"example": given[name]} if name in given else {})
    if described.operation.is_idempotent:
        yield {"$ref": "#/components/parameters/IdempotencyKey"}


def _public_parameter(route: Route, raw: Mapping[str, Any]) -> str:
    """The name in the route table; a service may call the parameter of the same place otherwise."""
    name = str(raw["name"])
    if raw["in"] != "path" or f"{{{name}}}" in route.template:
        return name
    own = [part[1:-1] for part in route.template.split("/") if part.startswith("{")]
    if len(own) != 1:
        raise OperationIncomplete(f"{route.method} {route.template}: the service calls a parameter {name}")
    return own[0]


def _without_null(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """A parameter is there or not; it is never null."""
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **choices[0]}


def _request_body(raw: Mapping[str, Any], example: Any) -> dict[str, Any]:
    content = {kind: tidy(media, in_request=True) for kind, media in raw["content"].items()}
    if example is not None:
        content = {
            kind: media if "example" in media else {**media, "example": example} for kind, media in content.items()
        }
    return {"required": raw.get("required", False), "content": content}


def _responses(described: Described) -> dict[str, Any]:
    route, operation, raw, example = described.route, described.operation, described.raw, described.example
    answer = example["answer"]
    responses: dict[str, Any] = {}
    for status, response in sorted(raw["responses"].items()):
        if status == "422":
            continue  # the framework's own shape, which no route answers
        shown = _answer(response, operation, is_metered=route.metering != "none")
        media = shown.get("content", {}).get(answer.get("content_type", "application/json"))
        if int(status) == answer["status"] and media is not None and "body" in answer:
            media["example"] = answer["body"]
        responses[status] = shown
    has_json_body = "application/json" in raw.get("requestBody", {}).get("content", {}) and not route.is_hot
    codes = refusals_of(
        route,
        operation.refusals,
        has_json_body=has_json_body,
        is_idempotent=operation.is_idempotent,
        is_strict=not route.is_hot,
    )
    leaves_receipt = "click_id_forged" in operation.refusals
    for status_number, listed in codes.items():
        schema = "PostbackProblem" if leaves_receipt and status_number in _POSTBACK_STATUSES else "Problem"
        refusal = refusal_response(status_number, listed, is_metered=route.metering != "none", schema=schema)
        own = responses.get(str(status_number))
        if own is not None:  # such as /readyz: an answer of its own under a refusal's status
            refusal["content"] = {**own.get("content", {}), **refusal["content"]}
        responses[str(status_number)] = refusal
    return dict(sorted(responses.items()))


def _answer(raw: Mapping[str, Any], operation: Operation, *, is_metered: bool) -> dict[str, Any]:
    headers = dict(raw.get("headers", {})) | {"X-Request-Id": {"$ref": "#/components/headers/XRequestId"}}
    if is_metered:
        headers["RateLimit"] = {"$ref": "#/components/headers/RateLimit"}
        headers["RateLimit-Policy"] = {"$ref": "#/components/headers/RateLimitPolicy"}
    if operation.is_idempotent and not operation.shows_secret:
        headers[REPLAYED_HEADER] = {"$ref": "#/components/headers/IdempotentReplayed"}
    description = raw["description"]
    shown: dict[str, Any] = {
        "description": "Done" if description == "Successful Response" else description,
        "headers": headers,
    }
    content = {kind: tidy(media) for kind, media in raw.get("content", {}).items()}
    return shown | ({"content": content} if content else {})


def _references_to(names: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"$ref": f"{PREFIX}{name}"} for name in names]


def _header(description: str, **schema: Any) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}}


_HEADERS: Final = {
    "XRequestId": _header("The request's id, under which the log has it"),
    "RateLimit": _header('What is left: `"key";r=1999;t=0`, requests and seconds until all are back'),
    "RateLimitPolicy": _header('The limit: `"key";q=2000;w=10`, requests in so many seconds'),
    "RetryAfter": {"description": "Seconds to wait", "schema": {"type": "integer", "minimum": 1}},
    "WWWAuthenticate": _header("`Bearer`"),
    "IdempotentReplayed": _header("`true`: the answer that was given before", enum=["true"]),
}
_PARAMETERS: Final = {
    "IdempotencyKey": {
        "name": HEADER,
        "in": "header",
        "required": False,
        "description": "The same key and request: the first answer again, for 30 days. Another request: 422",
        "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
    }
}
