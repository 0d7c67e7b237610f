"""One documented request, filled for the running network, sent, and its answer judged by the document."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote, urlencode

from jsonschema import FormatChecker
from openapi_schema_validator import OAS31Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from tests.e2e.client import Answer
from tests.e2e.interface.world import PARTY_OF_ROLE, World

DOCUMENT_URI: Final = "urn:tributary:openapi"
_SAFE: Final = frozenset({"get", "head"})


@dataclass(frozen=True, slots=True)
class Documented:
    """One operation of the document."""

    path: str
    method: str
    operation: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its operationId."""
        return str(self.operation["operationId"])

    @property
    def changes_something(self) -> bool:
        """True where sending it twice is not the same as once."""
        return self.method not in _SAFE or self.name == "send_postback"

    @property
    def roles(self) -> list[str]:
        """The roles that may, `""` for a stranger."""
        return list(self.operation["x-roles"]) or [""]


@dataclass(slots=True)
class Filled:
    """A request ready to be sent."""

    method: str
    path: Mapping[str, Any]
    template: str
    query: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None

    @property
    def target(self) -> str:
        """Path and query."""
        filled = self.template
        for name, value in self.path.items():
            filled = filled.replace(f"{{{name}}}", quote(str(value), safe=":"))
        return filled + (f"?{urlencode(self.query)}" if self.query else "")


def documented_operations(document: Mapping[str, Any]) -> Iterator[Documented]:
    """Every operation, in the document's order."""
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield Documented(path, method, operation)


def fill(world: World, documented: Documented, example: Mapping[str, Any], role: str) -> Filled:
    """The example's request with this network's ids, as `role` may send it: another party's filter is left out."""

    def filled(values: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: world.value(name, documented.name, value, changes=documented.changes_something, role=role)
            for name, value in values.items()
        }

    foreign = {name for owner, name in PARTY_OF_ROLE.items() if role in PARTY_OF_ROLE and owner != role}
    query = {name: value for name, value in example.get("query", {}).items() if name not in foreign}
    body = example.get("body")
    if isinstance(body, dict):
        batch = (
            {"conversions": [filled(item) for item in body["conversions"]]}
            if isinstance(body.get("conversions"), list)
            else {}
        )
        body = {**filled(body), **batch}
    return Filled(
        documented.method.upper(),
        filled(example.get("path", {})),
        documented.path,
        filled(query),
        dict(example.get("headers", {})),
        body,
    )


def send(world: World, request: Filled, role: str) -> Answer:
    """Send it with the key of `role`."""
    headers = dict(request.headers)
    content = None
    if request.body is not None:
        content = json.dumps(request.body).encode()
        headers["Content-Type"] = "application/json"
    return world.clients[role].send(request.method, request.target, content, headers)


class Judge:
    """Says what is wrong with an answer by the document; an empty list is praise."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        resource = Resource.from_contents(dict(document), default_specification=DRAFT202012)
        self._document = document
        self._registry: Registry[Any] = Registry().with_resource(DOCUMENT_URI, resource)

    def faults(self, documented: Documented, answer: Answer) -> list[str]:
        """Undocumented status, content type or missing header, or a body that is not what its schema says."""
        pointer, response = self._response(documented, answer.status)
        if response is None:
            return [f"status {answer.status} is not documented: {answer.text[:300]}"]
        faults = [] if "x-request-id" in answer.headers else ["no X-Request-Id"]
        content = response.get("content", {})
        kind = answer.headers.get("content-type", "").split(";")[0]
        if not content or documented.method == "head":
            return faults + (["a body where none is documented"] if answer.text else [])
        if kind not in content:
            return [*faults, f"content type {kind!r} of {answer.status} is not documented"]
        if not kind.endswith("json"):
            return faults
        pointer += f"/content/{_escaped(kind)}/schema"
        return faults + [f"{answer.status} {fault}" for fault in self.schema_faults(pointer, answer.body)]

    def schema_faults(self, pointer: str, instance: Any) -> list[str]:
        """What the schema at `pointer` has against `instance`."""
        validator = OAS31Validator(
            {"$ref": f"{DOCUMENT_URI}#{pointer}"}, registry=self._registry, format_checker=FormatChecker()
        )
        return [f"{fault.json_path}: {fault.message[:300]}" for fault in validator.iter_errors(instance)]

    def _response(self, documented: Documented, status: int) -> tuple[str, Mapping[str, Any] | None]:
        """Where the response of a status is documented, and what it says; None where it is not."""
        response = documented.operation["responses"].get(str(status))
        if response is not None and "$ref" in response:
            name = response["$ref"].removeprefix("#/components/responses/")
            return f"/components/responses/{name}", self._document["components"]["responses"][name]
        return f"/paths/{_escaped(documented.path)}/{documented.method}/responses/{status}", response


def _escaped(part: str) -> str:
    return quote(part.replace("~", "~0").replace("/", "~1"), safe="~")
