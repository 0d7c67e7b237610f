"""Pieces of HTML: everything that comes from elsewhere is escaped here, and nowhere else."""

import json
import re
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from deploy.interface.schemas import PREFIX

_STYLE: Final = Path(__file__).parent / "style.css"
_INLINE: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")
_HEADED: Final = "<thead><tr>{}</tr></thead>"


def text(words: str) -> str:
    """One line of prose: `code` and **bold** are marked up, the rest is escaped."""
    pieces, end = [], 0
    for found in _INLINE.finditer(words):
        pieces.append(escape(words[end : found.start()]))
        pieces.append(f"<code>{escape(found[1])}</code>" if found[1] else f"<strong>{escape(found[2])}</strong>")
        end = found.end()
    return "".join([*pieces, escape(words[end:])])


def paragraphs(words: str) -> str:
    """Prose in paragraphs."""
    return "".join(f"<p>{text(paragraph)}</p>" for paragraph in words.split("\n\n") if paragraph)


def sample(value: Any) -> str:
    """A JSON value to be read."""
    return f'<pre tabindex="0"><code>{escape(json.dumps(value, indent=2, ensure_ascii=False))}</code></pre>'


def chips(words: Iterable[str]) -> str:
    """Short facts in a row."""
    return f'<ul class="chips">{"".join(f"<li>{text(word)}</li>" for word in words)}</ul>'


def table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Rows of ready HTML, the first cell of each its heading."""
    head = "".join(f"<th scope=col>{escape(heading)}</th>" for heading in headings)
    body = "".join(
        "<tr>"
        + "".join(f"<th scope=row>{cell}</th>" if not at else f"<td>{cell}</td>" for at, cell in enumerate(row))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table>{_HEADED.format(head)}<tbody>{body}</tbody></table></div>'


def type_words(schema: Mapping[str, Any]) -> str:
    """What a value is, in a word or a link."""
    if "$ref" in schema:
        name = str(schema["$ref"]).removeprefix(PREFIX)
        return f'<a href="#schema-{escape(name)}">{escape(name)}</a>'
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if choices:
        return " or ".join(type_words(choice) for choice in choices)
    if "enum" in schema:
        return " · ".join(f"<code>{escape(str(value))}</code>" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {type_words(schema.get('items', {}))}"
    if "additionalProperties" in schema and isinstance(schema["additionalProperties"], Mapping):
        return f"object of {type_words(schema['additionalProperties'])}"
    kind = schema.get("type", "anything")
    words = " or ".join(map(str, kind)) if isinstance(kind, list) else str(kind)
    return escape(words + "".join(f", {limit}" for limit in _limits(schema)))


def _limits(schema: Mapping[str, Any]) -> Iterable[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None or high is not None:
        yield f"{'' if low is None else low}…{'' if high is None else high}"
    if "maxLength" in schema:
        yield f"≤ {schema['maxLength']} characters"
    if "format" in schema:
        yield str(schema["format"])
    if "default" in schema and schema["default"] is not None:
        yield f"default {json.dumps(schema['default'])}"


def schema_table(schema: Mapping[str, Any]) -> str:
    """An object's fields; for anything else what it is."""
    properties: Mapping[str, Any] = schema.get("properties", {})
    if not properties:
        return f"<p>{type_words(schema)}</p>"
    required = set(schema.get("required", ()))
    rows = [
        (
            f"<code>{escape(name)}</code>" + ("" if name in required else ' <span class="kind">optional</span>'),
            f'<span class="kind">{type_words(field)}</span>',
            text(field.get("description", "")),
        )
        for name, field in properties.items()
    ]
    return table(("field", "type", ""), rows)


def schema_articles(schemas: Mapping[str, Any]) -> str:
    """Every schema, closed, to be linked to."""
    return "".join(
        f'<article id="schema-{escape(name)}"><details><summary><span class="verb head">schema</span>'
        f'<span class="path">{escape(name)}</span>'
        f'<span class="says">{text(_first(schema))}</span></summary><div class="inside">'
        f"{paragraphs(schema.get('description', ''))}{schema_table(schema)}</div></details></article>"
        for name, schema in schemas.items()
    )


def _first(schema: Mapping[str, Any]) -> str:
    return str(schema.get("description", "")).split(". ")[0].removesuffix(".")


def page(*, title: str, side: str, content: str) -> str:
    """A whole page: one file, its style inside it, nothing loaded from elsewhere, no scripts."""
    style = re.sub(r"\s*\n\s*", "", _STYLE.read_text())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width,initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n"
        '<link rel="icon" href="data:,">\n'
        f"<style>{style}</style>\n</head>\n<body>\n"
        f'<div class="frame">\n<nav class="side" aria-label="Contents">{side}</nav>\n<main>{content}</main>\n</div>\n'
        "</body>\n</html>\n"
    )


def side(sisters: Mapping[str, str], sections: Mapping[str, Mapping[str, str]], *, is_open: bool) -> str:
    """The contents: sisters are label by address, sections are label by anchor, by heading."""
    links = "".join(f'<a href="{escape(address)}">{escape(label)}</a>' for label, address in sisters.items())
    groups = "".join(
        f"<details{' open' if is_open else ''}><summary>{escape(heading)}</summary><ul>"
        + "".join(f'<li><a href="#{escape(anchor)}">{escape(label)}</a></li>' for anchor, label in entries.items())
        + "</ul></details>"
        for heading, entries in sections.items()
    )
    return (
        f'<a class="name" href="#top">Tributary</a><div class="sisters">{links}</div><div class="groups">{groups}</div>'
    )
