"""`python -m deploy.client.write [folder]`: the client package, out of the OpenAPI document."""

import json
import keyword
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from deploy.interface.main import openapi_text
from deploy.interface.schemas import PREFIX

FOLDER: Final = Path(__file__).parents[2] / "build" / "client"
TRANSPORT: Final = Path(__file__).parent / "tributary_client.txt"
_PYPROJECT: Final = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "tributary-client"
version = "{version}.0.0"
description = "A typed client of a Tributary network."
requires-python = ">=3.11"
dependencies = ["httpx>=0.28"]

[tool.hatch.build.targets.wheel]
packages = ["tributary_client"]
"""
_PLAIN: Final = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}


def client_files(document: Mapping[str, Any]) -> dict[str, str]:
    """The package's files by name."""
    methods = "".join(
        _method(path, verb, operation, document)
        for path, item in document["paths"].items()
        for verb, operation in item.items()
    )
    head, problem = TRANSPORT.read_text().split("\n\ndef _problem(")
    return {
        "pyproject.toml": _PYPROJECT.format(version=document["info"]["version"]),
        "tributary_client/__init__.py": f"{head}{methods}\n\ndef _problem({problem}",
        "tributary_client/models.py": _models(document["components"]["schemas"]),
        "tributary_client/py.typed": "",
    }


def write_client(folder: Path) -> None:
    """Write the package into `folder`."""
    for name, content in client_files(json.loads(openapi_text())).items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def type_of(schema: Mapping[str, Any], prefix: str = "") -> str:
    """The Python type of a schema. prefix: before the names of models."""
    if "$ref" in schema:
        return prefix + str(schema["$ref"]).removeprefix(PREFIX)
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices:
        return " | ".join(dict.fromkeys(type_of(choice, prefix) for choice in choices))
    if "enum" in schema:
        return f"Literal[{', '.join(map(repr, schema['enum']))}]"
    if "const" in schema:
        return f"Literal[{schema['const']!r}]"
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_PLAIN.get(each, "Any") for each in kind)
    if kind == "array":
        return f"list[{type_of(schema.get('items', {}), prefix)}]"
    if kind == "object":
        values = schema.get("additionalProperties")
        return f"dict[str, {type_of(values, prefix) if isinstance(values, Mapping) else 'Any'}]"
    return _PLAIN.get(str(kind), "Any")


def _models(schemas: Mapping[str, Any]) -> str:
    # A refusal is an exception here, not an answer; the one shape that extends another is one.
    shapes = "".join(_model(name, schema) for name, schema in schemas.items() if "allOf" not in schema)
    return (
        '"""What goes in and what comes out, as the OpenAPI document says. Do not edit."""\n\n'
        "from __future__ import annotations\n\n"
        f"from typing import Any, Literal, NotRequired, TypeAlias, TypedDict\n{shapes}"
    )


def _model(name: str, schema: Mapping[str, Any]) -> str:
    properties: Mapping[str, Any] = schema.get("properties", {})
    if not properties:
        kind = type_of(schema)
        return f"\n{name}: TypeAlias = {repr(kind) if '|' in kind else kind}\n"
    required = set(schema.get("required", ()))
    fields = "".join(
        f"    {field}: {kind if field in required else f'NotRequired[{kind}]'}\n"
        for field, kind in ((field, type_of(each)) for field, each in properties.items())
    )
    return f'\n\nclass {name}(TypedDict):\n    """{_docstring(schema.get("description", ""), 4)}"""\n\n{fields}'


def _docstring(words: str, indent: int) -> str:
    return (
        words.replace("\\", "\\\\").replace('"""', "'''").replace("\n", "\n" + " " * indent).strip()
        or "See the interface."
    )


def _method(path: str, verb: str, operation: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    parameters = [_resolved(document, parameter) for parameter in operation.get("parameters", [])]
    placed = [each for each in parameters if each["in"] == "path"]
    asked = [each for each in parameters if each["in"] == "query"]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    takes_key = any(each["name"] == "Idempotency-Key" for each in parameters)
    signature = ", ".join(["self", *_positional(placed, body), *_named(asked, takes_key=takes_key)])
    filled = path
    for each in placed:
        filled = filled.replace(f"{{{each['name']}}}", f"{{quote(str({_identifier(each['name'])}), safe=':')}}")
    query = ", ".join(f"{each['name']!r}: {_identifier(each['name'])}" for each in asked)
    call = [repr(verb.upper()), f"f{filled!r}" if placed else repr(filled), f"{{{query}}}"]
    call += ["body"] if body is not None else []
    call += ["idempotency_key=idempotency_key"] if takes_key else []
    result = _result(operation)
    arguments = ", ".join(call)
    return (
        f"\n    def {operation['operationId']}({signature}) -> {result}:\n"
        f'        """{_docstring(operation["description"], 8)}"""\n'
        f"        return cast({result!r}, self._call({arguments}))\n"
    )


def _resolved(document: Mapping[str, Any], parameter: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in parameter:
        return parameter
    found: Mapping[str, Any] = document["components"]["parameters"][str(parameter["$ref"]).rpartition("/")[2]]
    return found


def _positional(placed: list[Mapping[str, Any]], body: Mapping[str, Any] | None) -> Iterator[str]:
    for each in placed:
        yield f"{_identifier(each['name'])}: {type_of(each['schema'], 'models.')}"
    if body is not None:
        yield f"body: {type_of(body['schema'], 'models.')}"


def _named(asked: list[Mapping[str, Any]], *, takes_key: bool) -> Iterator[str]:
    if asked or takes_key:
        yield "*"
    for each in asked:
        yield f"{_identifier(each['name'])}: {type_of(each['schema'], 'models.')} | None = None"
    if takes_key:
        yield "idempotency_key: str | None = None"


def _identifier(name: str) -> str:
    return f"{name}_" if keyword.iskeyword(name) else name


def _result(operation: Mapping[str, Any]) -> str:
    kinds = list[str]()
    for status, response in operation["responses"].items():
        if status >= "400" or status == "304":
            continue
        content = response.get("content", {})
        kinds += ["str"] if status.startswith("3") else [] if content else ["None"]
        kinds += [type_of(media["schema"], "models.") if "json" in kind else "str" for kind, media in content.items()]
    return " | ".join(dict.fromkeys(kinds)) or "None"


if __name__ == "__main__":
    write_client(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
