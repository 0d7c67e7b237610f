"""The OpenAPI document: every public route and nothing else, valid, and kind to its readers."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from deploy.interface import document as document_module
from deploy.interface.document import EXAMPLES, OperationIncomplete, describe_routes
from deploy.interface.errors import REFUSALS
from deploy.interface.main import generated_files, openapi_text, stale_files
from deploy.interface.operations import OPERATIONS
from deploy.interface.schemas import merged_schemas
from deploy.interface.sources import Source, read_sources
from services.gateway.domain.routes import ROUTES
from tests.e2e.interface.exchange import Documented, Judge, documented_operations

VERBS = {
    "GET": {"get", "list", "read", "follow", "send"},
    "HEAD": {"preview"},
    "DELETE": {"revoke", "remove"},
}


def _operations(document: dict[str, Any]) -> dict[str, Documented]:
    return {f"{each.method.upper()} {each.path}": each for each in documented_operations(document)}


def test_every_route_is_an_operation_and_every_operation_a_route(document: dict[str, Any]) -> None:
    listed = {f"{route.method} {route.template}" for route in ROUTES}

    assert set(_operations(document)) == listed
    assert set(OPERATIONS) == listed


def test_every_public_route_of_every_service_is_in_the_table() -> None:
    """A router that nobody listed would be served by its service and unreachable from outside."""
    table = {(route.owner, route.method, document_module._plain(route.template)) for route in ROUTES}
    own = {"/healthz", "/readyz", "/metrics"}

    served = {
        (source.service, method.upper(), document_module._plain(path))
        for source in read_sources()
        for path, item in source.paths.items()
        for method in item
        if path not in own
    }

    assert served <= table


def test_a_route_without_a_line_or_an_example_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(document_module, "EXAMPLES", tmp_path)
        with pytest.raises(OperationIncomplete, match=r"has no example; write deploy/interface/examples/follow_link"):
            list(describe_routes(read_sources()))
    monkeypatch.setattr(document_module, "OPERATIONS", {})
    with pytest.raises(OperationIncomplete, match=r"GET /c/.*has no line"):
        list(describe_routes(read_sources()))
    with pytest.raises(OperationIncomplete, match="no router of clicks serves it"):
        list(describe_routes([]))


def test_the_document_is_valid_openapi(document: dict[str, Any]) -> None:
    faults = [
        f"{fault.message[:200]} at {list(fault.absolute_path)}"
        for fault in OpenAPIV31SpecValidator(document).iter_errors()
    ]

    assert document["openapi"] == "3.1.0"
    assert faults == []


def test_what_is_committed_is_what_the_code_says() -> None:
    assert [str(path) for path in stale_files(generated_files())] == [], "run make interface"


def test_no_example_is_left_over() -> None:
    assert {file.stem for file in EXAMPLES.glob("*.json")} == {operation.name for operation in OPERATIONS.values()}


def test_every_operation_is_named_described_and_told_apart(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    names, faults = list[str](), list[str]()
    for spelling, each in _operations(document).items():
        operation = each.operation
        names.append(each.name)
        verb = each.name.partition("_")[0]
        if not re.fullmatch(r"[a-z]+(_[a-z]+)+", each.name) or verb not in VERBS.get(each.method.upper(), {verb}):
            faults.append(f"{spelling}: {each.name} is no verb and noun")
        if not operation["summary"][0].isupper() or not 8 <= len(operation["summary"]) <= 90:
            faults.append(f"{spelling}: summary {operation['summary']!r}")
        if len(operation["description"]) < len(operation["summary"]):
            faults.append(f"{spelling}: no description")
        if len(operation["tags"]) != 1 or operation["tags"][0] not in tags:
            faults.append(f"{spelling}: tags {operation['tags']}")
        faults += [
            f"{spelling}: parameter {parameter['name']} has no description"
            for parameter in operation.get("parameters", [])
            if "$ref" not in parameter and not parameter["description"]
        ]

    assert faults == []
    assert len(set(names)) == len(names)


def test_every_operation_has_its_examples_and_they_are_what_the_schemas_say(document: dict[str, Any]) -> None:
    judge, faults = Judge(document), list[str]()
    for spelling, each in _operations(document).items():
        pointers = list(_media_types(document, each))
        assert pointers, spelling
        for pointer, media in pointers:
            examples = [media["example"]] if "example" in media else []
            examples += [_resolved(document, example)["value"] for example in media.get("examples", {}).values()]
            for example in examples:
                faults += [f"{spelling} {fault}" for fault in judge.schema_faults(f"{pointer}/schema", example)]
        faults += _without_example(spelling, each)

    assert faults == []


def _without_example(spelling: str, each: Documented) -> Iterator[str]:
    good = [answer for status, answer in each.operation["responses"].items() if status < "300"]
    media = [
        answer["content"]["application/json"] for answer in good if "application/json" in answer.get("content", {})
    ]
    if media and not each.path.endswith(".json") and not any("example" in shown for shown in media):
        yield f"{spelling}: no example of its answer"
    for kind, shown in each.operation.get("requestBody", {}).get("content", {}).items():
        if "example" not in shown:
            yield f"{spelling}: no example of its {kind} body"


def _media_types(document: dict[str, Any], each: Documented) -> Iterator[tuple[str, dict[str, Any]]]:
    """Pointer and media type of every body of an operation."""
    root = f"/paths/{_escaped(each.path)}/{each.method}"
    for kind, media in each.operation.get("requestBody", {}).get("content", {}).items():
        yield f"{root}/requestBody/content/{_escaped(kind)}", media
    for status, response in each.operation["responses"].items():
        pointer = f"{root}/responses/{status}"
        if "$ref" in response:
            pointer = response["$ref"].removeprefix("#")
            response = _resolved(document, response)
        for kind, media in response.get("content", {}).items():
            yield f"{pointer}/content/{_escaped(kind)}", media


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")


def _resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    found = document
    for part in node["$ref"].removeprefix("#/").split("/") if "$ref" in node else ():
        found = found[part]
    return found if "$ref" in node else node


def test_every_refusal_names_its_codes_with_an_example_of_each(document: dict[str, Any]) -> None:
    seen = set[str]()
    for spelling, each in _operations(document).items():
        for status, shown in each.operation["responses"].items():
            response = _resolved(document, shown)
            if status < "400" or (each.path, status) == ("/readyz", "503"):
                continue
            media = response["content"]["application/problem+json"]
            codes = media["schema"]["properties"]["code"]["enum"]
            seen |= set(codes)
            assert set(media["examples"]) == set(codes), f"{spelling} {status}"
            assert {REFUSALS[code].status for code in codes} == {int(status)}, f"{spelling} {status}"
            assert ("Retry-After" in response["headers"]) == (
                status in ("429", "503", "504") or "idempotency_in_progress" in codes
            )

    assert set(REFUSALS) - seen <= {"method_not_allowed", "bad_request"}


def test_money_instants_and_cursors_are_shared_shapes(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    others = {name: schema for name, schema in schemas.items() if name not in ("Instant", "ZonedInstant")}

    assert '"date-time"' not in json.dumps([document["paths"], others])
    assert '"title":' not in json.dumps(others).replace('"title": {', "")
    assert schemas["ConversionPage"]["properties"]["next_cursor"]["anyOf"][0] == {"$ref": "#/components/schemas/Cursor"}
    assert "HTTPValidationError" not in json.dumps(document)


def test_two_meanings_of_one_name_are_refused() -> None:
    two = [
        Source("clicks", {}, {"ThingAnswer": {"type": "object"}}),
        Source("gateway", {}, {"ThingAnswer": {"type": "string"}}),
    ]

    with pytest.raises(ValueError, match="gateway: ThingAnswer is another schema"):
        merged_schemas(two)


def test_an_open_door_says_so_and_a_closed_one_names_its_keys(document: dict[str, Any]) -> None:
    for route in ROUTES:
        security = document["paths"][route.template][route.method.lower()]["security"]
        assert bool(security) == (not route.is_anonymous or route.keeps_authorization), route.template


def test_the_document_is_given_as_text() -> None:
    assert json.loads(openapi_text())["info"]["title"] == "Tributary"


def test_no_example_shows_a_secret_or_a_machine() -> None:
    for file in EXAMPLES.glob("*.json"):
        text = file.read_text()
        assert not re.search(r"trb_[a-z]+_[a-z0-9]{8}_(?!shown-once)", text), file.name
        assert "127.0.0.1" not in text, file.name
        assert "localhost" not in text, file.name
