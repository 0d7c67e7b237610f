"""One set of schemas out of four services': shared shapes named once, names told apart, noise left out."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from deploy.interface.sources import Source
from shared.runtime.pagination import CURSOR_CHARACTERS_MAX

Schema = dict[str, Any]
PREFIX: Final = "#/components/schemas/"
_RENAMED: Final = {
    "MoneyModel": "Money",
    "MoneyAnswer": "SignedMoney",
    "Status": "ConversionStatus",
    "StepAnswer": "AttributionStep",
    "EntryAnswer": "PostingEntry",
    "IntervalAnswer": "EnrolmentInterval",
    "TermAnswer": "OfferTerm",
    "TermBody": "OfferTermBody",
    "SectionAnswer": "StatementSection",
    "CutAnswer": "StatementCut",
    "WindowAnswer": "ClickWindow",
    "WindowBody": "ClickWindowBody",
    "VersionBody": "OfferVersionBody",
}
_DROPPED: Final = frozenset({"HTTPValidationError", "ValidationError"})
_PAGE: Final = re.compile(r"Page_(\w+?)(?:Answer)?_")
_AMOUNT: Final = r"[0-9]{1,24}(\.[0-9]{1,4})?"
_CURRENCY: Final = {"type": "string", "pattern": "^[A-Z]{3}$", "description": "ISO 4217", "examples": ["EUR"]}
_TEXT: Final = {"type": "string"}

SHARED: Final[Mapping[str, Schema]] = {
    "Money": {
        "type": "object",
        "description": "An amount with its currency: a decimal string, with no more decimals than the currency has.",
        "required": ["amount", "currency"],
        "additionalProperties": False,
        "properties": {
            "amount": {"type": "string", "pattern": r"^[0-9]{1,16}(\.[0-9]{1,4})?$", "examples": ["12.34"]},
            "currency": _CURRENCY,
        },
        "examples": [{"amount": "12.34", "currency": "EUR"}],
    },
    "SignedMoney": {
        "type": "object",
        "description": "Money in an answer: exactly the currency's decimals; negative where something is taken back.",
        "required": ["amount", "currency"],
        "properties": {
            "amount": {"type": "string", "pattern": rf"^-?{_AMOUNT}$", "examples": ["-12.34"]},
            "currency": _CURRENCY,
        },
        "examples": [{"amount": "-12.34", "currency": "EUR"}],
    },
    "Instant": {
        "type": "string",
        "format": "date-time",
        "description": "An instant in an answer: RFC 3339, always UTC.",
        "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z$",
        "examples": ["2026-11-24T08:00:00.123000Z"],
    },
    "ZonedInstant": {
        "type": "string",
        "format": "date-time",
        "description": "An instant in a request: RFC 3339 with its zone. In a query `+` is written `%2B`.",
        "pattern": (r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})$"),
        "examples": ["2026-11-24T09:00:00+01:00"],
    },
    "Cursor": {
        "type": "string",
        "description": "Where a list goes on: opaque, good for the list that gave it. It carries no authority.",
        "pattern": "^[A-Za-z0-9_-]+$",
        "maxLength": CURSOR_CHARACTERS_MAX,
        "examples": ["eyJpZCI6N30"],
    },
    "Problem": {
        "type": "object",
        "description": "Every refusal: RFC 9457 with a stable `code`. It never repeats what was sent.",
        "required": ["type", "title", "status", "code", "detail", "request_id", "errors"],
        "properties": {
            "type": {"type": "string", "format": "uri", "description": "`urn:tributary:problem:{code}`"},
            "title": {**_TEXT, "description": "The status in words"},
            "status": {"type": "integer", "description": "The HTTP status"},
            "code": {"type": "string", "pattern": "^[a-z0-9_]+$", "description": "Stable; programs decide by it"},
            "detail": {**_TEXT, "description": "For people"},
            "request_id": {**_TEXT, "description": "Under which our log has the rest; quote it"},
            "errors": {
                "type": "array",
                "description": "What is wrong, field by field; empty where no field is to blame",
                "items": {"$ref": f"{PREFIX}FieldError"},
            },
        },
    },
    "FieldError": {
        "type": "object",
        "description": "One fault in one field. field: dotted path, such as `terms.0.rate_percent`.",
        "required": ["field", "code", "message"],
        "properties": {"field": _TEXT, "code": _TEXT, "message": _TEXT},
    },
}


def public_name(name: str) -> str:
    """The document's name of a service's schema: `Page_OfferAnswer_` is `OfferPage`, `OfferAnswer` is `Offer`."""
    page = _PAGE.fullmatch(name)
    if page:
        return f"{public_name(page[1])}Page"
    return _RENAMED.get(name) or (name.removesuffix("Answer") if name.endswith("Answer") else name)


_KEPT: Final = frozenset({"PostbackAnswer", "PostbackBatchAnswer"})


def merged_schemas(sources: Iterable[Source]) -> dict[str, Schema]:
    """Every schema by its public name. Raises ValueError where two services mean different things by one name."""
    merged: dict[str, Schema] = {}
    for source in sources:
        for name, schema in source.components.items():
            if name in _DROPPED:
                continue
            public = _public(name)
            if public in SHARED:
                continue
            tidied = tidy(schema)
            if merged.setdefault(public, tidied) != tidied:
                raise ValueError(f"{source.service}: {name} is another schema than the {public} before; rename one")
    return {**merged, **{name: dict(schema) for name, schema in SHARED.items()}}


def _public(name: str) -> str:
    return name if name in _KEPT else public_name(name)


def tidy(node: Any, *, in_request: bool = False) -> Any:
    """A schema, or anything that holds some, in the document's own terms."""
    if isinstance(node, list):
        return [tidy(item, in_request=in_request) for item in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        kept = {name: value for name, value in node.items() if name != "title"}
        return {**kept, "$ref": PREFIX + _public(str(node["$ref"]).removeprefix(PREFIX))}
    if node.get("format") == "date-time":
        reference = {"$ref": f"{PREFIX}{'ZonedInstant' if in_request else 'Instant'}"}
        return reference | ({"description": node["description"]} if "description" in node else {})
    kept = {
        name: _tidy_properties(value, in_request) if name == "properties" else tidy(value, in_request=in_request)
        for name, value in node.items()
        if not (name == "title" and isinstance(value, str))
    }
    if isinstance(kept.get("description"), str):
        kept["description"] = one_line(kept["description"])
    return kept


def _tidy_properties(properties: Any, in_request: bool) -> Any:
    tidied = {name: tidy(schema, in_request=in_request) for name, schema in properties.items()}
    if "next_cursor" in tidied and tidied["next_cursor"].get("type") != "null":
        tidied["next_cursor"] = {
            "anyOf": [{"$ref": f"{PREFIX}Cursor"}, {"type": "null"}],
            "description": "For the page after; null on the last",
        }
    return tidied


def one_line(text: str) -> str:
    """A docstring's paragraphs, each on one line."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))


def used_schemas(document: Mapping[str, Any], schemas: Mapping[str, Schema]) -> dict[str, Schema]:
    """Those of `schemas` that `document` refers to, directly or through others; sorted by name."""
    wanted, waiting = set[str](), list(_references(document))
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            waiting.extend(_references(schemas[name]))
    return {name: schemas[name] for name in sorted(wanted)}


def _references(node: Any) -> Iterable[str]:
    if isinstance(node, Mapping):
        for name, value in node.items():
            if name == "$ref" and isinstance(value, str) and value.startswith(PREFIX):
                yield value.removeprefix(PREFIX)
            else:
                yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)
