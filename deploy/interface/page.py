"""The OpenAPI document as a page for people."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final
from urllib.parse import urlencode

from deploy.interface.errors import MEANINGS
from deploy.interface.markup import (
    chips,
    page,
    paragraphs,
    sample,
    schema_articles,
    side,
    table,
    text,
    type_words,
)

SISTERS: Final = {"OpenAPI": "/openapi.json", "Events": "/docs/events", "AsyncAPI": "/asyncapi.json"}
EVERYWHERE: Final = frozenset({"400", "408", "413", "414", "431", "500", "504"})
"""Statuses that every route can answer: told once."""

_PROBLEM: Final = "application/problem+json"
_CONTINUED: Final = " \\\n  "


def render_page(document: Mapping[str, Any]) -> str:
    """The page at /docs."""
    by_tag: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {tag["name"]: [] for tag in document["tags"]}
    for path, item in document["paths"].items():
        for method, operation in item.items():
            by_tag[operation["tags"][0]].append((method, path, operation))
    sections = {"Overview": {"top": "Overview", "access": "Keys and signatures", "everywhere": "On every route"}}
    sections |= {
        _titled(tag): {operation["operationId"]: operation["summary"] for _, _, operation in operations}
        for tag, operations in by_tag.items()
    }
    sections["Schemas"] = {f"schema-{name}": name for name in document["components"]["schemas"]}
    groups = "".join(
        f"<h2>{escape(_titled(tag['name']))}</h2><p class=note>{text(tag['description'])}</p>"
        + "".join(_operation(document, *entry) for entry in by_tag[tag["name"]])
        for tag in document["tags"]
    )
    content = (
        f'<h1 id="top">{escape(document["info"]["title"])}: the interface</h1>'
        f"{paragraphs(document['info']['description'])}{_access(document)}{_everywhere(document)}{groups}"
        f"<h2>Schemas</h2>{schema_articles(document['components']['schemas'])}"
        "<footer>Made from the code. Every example here is tried against the running platform.</footer>"
    )
    return page(title="Tributary: the interface", side=side(SISTERS, sections, is_open=False), content=content)


def _titled(words: str) -> str:
    return words[:1].upper() + words[1:]


def _access(document: Mapping[str, Any]) -> str:
    schemes = document["components"]["securitySchemes"]
    rows = [(escape(name), _place(scheme), text(scheme["description"])) for name, scheme in schemes.items()]
    return f'<h2 id="access">Keys and signatures</h2>{table(("scheme", "where", ""), rows)}'


def _place(scheme: Mapping[str, Any]) -> str:
    if scheme["type"] == "http":
        return "<code>Authorization: Bearer</code>"
    return f"{escape(scheme['in'])} <code>{escape(scheme['name'])}</code>"


def _everywhere(document: Mapping[str, Any]) -> str:
    statuses: dict[str, set[str]] = {}
    for item in document["paths"].values():
        for operation in item.values():
            for status in EVERYWHERE & set(operation["responses"]):
                statuses.setdefault(status, set()).update(_codes(document, operation["responses"][status]))
    statuses["405"] = {"method_not_allowed"}
    rows = [_refusal_row(status, sorted(codes)) for status, codes in sorted(statuses.items())]
    example = document["components"]["examples"]["validation_failed"]["value"]
    return (
        '<h2 id="everywhere">On every route</h2>'
        f"<p>These refusals are the same everywhere; what is special stands at each route.</p>"
        f"{table(('status', 'code', ''), rows)}<h4>A refusal</h4>{sample(example)}"
    )


def _refusal_row(status: str, codes: list[str]) -> tuple[str, str, str]:
    listed = "".join(f"<code>{escape(code)}</code>" for code in codes)
    return f'<span class="status">{status}</span>', f'<span class="codes">{listed}</span>', text(MEANINGS[int(status)])


def _resolved(document: Mapping[str, Any], node: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Any = node
    if "$ref" in node:
        found = document
        for part in str(node["$ref"]).removeprefix("#/").split("/"):
            found = found[part]
    resolved: Mapping[str, Any] = found
    return resolved


def _codes(document: Mapping[str, Any], response: Mapping[str, Any]) -> list[str]:
    media = _resolved(document, response).get("content", {}).get(_PROBLEM)
    codes: list[str] = [] if media is None else media["schema"]["properties"]["code"]["enum"]
    return codes


def _operation(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> str:
    return (
        f'<article id="{escape(operation["operationId"])}"><details><summary>'
        f'<span class="verb {method}">{method.upper()}</span><code class="path">{escape(path)}</code>'
        f'<span class="says">{text(operation["summary"])}</span></summary><div class="inside">'
        + "".join(_inside(document, method, path, operation))
        + "</div></details></article>"
    )


def _inside(document: Mapping[str, Any], method: str, path: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield chips(_facts(operation))
    yield paragraphs("\n\n".join(operation["description"].split("\n\n")[:-1]))
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", [])]
    if parameters:
        yield f"<h4>Parameters</h4>{table(('name', 'type', ''), map(_parameter_row, parameters))}"
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body is not None:
        yield f"<h4>Body</h4><p>{type_words(body['schema'])}</p>"
    yield f"<h4>Example</h4>{_request(method, path, parameters, body, operation)}"
    for status, shown in operation["responses"].items():
        response = _resolved(document, shown)
        if status < "400":
            yield _answer(status, response)
    refusals = [
        _refusal_row(status, _codes(document, response))
        for status, response in operation["responses"].items()
        if status >= "400" and status not in EVERYWHERE and _codes(document, response)
    ]
    if refusals:
        yield f"<h4>Refusals</h4>{table(('status', 'code', ''), refusals)}"


def _facts(operation: Mapping[str, Any]) -> Iterator[str]:
    limits = operation["x-limits"]
    yield f"`{operation['operationId']}`"
    yield from operation["x-roles"] or ["open to all"]
    counted = {"key": "counted per key", "address": "counted per address", "none": "not limited"}
    yield counted[limits["counted_per"]]
    yield f"within {limits['deadline_seconds']:g} s"
    if "requestBody" in operation:
        yield f"body ≤ {limits['body_max_bytes'] // 1024} KiB"
    if {"$ref": "#/components/parameters/IdempotencyKey"} in operation.get("parameters", []):
        yield "takes `Idempotency-Key`"


def _parameter_row(parameter: Mapping[str, Any]) -> tuple[str, str, str]:
    need = ' <span class="need">required</span>' if parameter["required"] else ""
    place = "" if parameter["in"] == "path" else f' <span class="kind">{escape(parameter["in"])}</span>'
    return (
        f"<code>{escape(parameter['name'])}</code>{place}{need}",
        f'<span class="kind">{type_words(parameter["schema"])}</span>',
        text(parameter["description"]),
    )


def _request(
    method: str,
    path: str,
    parameters: list[Mapping[str, Any]],
    body: Mapping[str, Any] | None,
    operation: Mapping[str, Any],
) -> str:
    query = {}
    for parameter in parameters:
        if "example" in parameter and parameter["in"] == "path":
            path = path.replace(f"{{{parameter['name']}}}", str(parameter["example"]))
        elif "example" in parameter and parameter["in"] == "query":
            query[parameter["name"]] = parameter["example"]
    target = path + (f"?{urlencode(query)}" if query else "")
    verb = {"get": "", "head": "-I "}.get(method, f"-X {method.upper()} ")
    lines = [f'curl -s {verb}"$URL{target}"']
    if operation["x-roles"]:
        lines.append('-H "Authorization: Bearer $KEY"')
    if body is not None and "example" in body:
        lines.append("-H 'Content-Type: application/json'")
        lines.append("-d '" + json.dumps(body["example"], ensure_ascii=False) + "'")
    return f'<pre tabindex="0"><code>{escape(_CONTINUED.join(lines))}</code></pre>'


def _answer(status: str, response: Mapping[str, Any]) -> str:
    shown = [f"<h4>Answer {status}</h4><p>{text(response['description'])}"]
    for kind, media in response.get("content", {}).items():
        schema = media.get("schema", {})
        words = type_words(schema) if schema.get("type") != "string" else "text"
        shown.append(f" <code>{escape(kind)}</code> {words}")
    shown.append("</p>")
    shown += [sample(media["example"]) for media in response.get("content", {}).values() if "example" in media]
    return "".join(shown)
