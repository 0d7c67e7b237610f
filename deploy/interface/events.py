"""Every topic and event as an AsyncAPI 3.0 document, from the contracts, and as a page for people."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any, Final, get_args

import msgspec

import shared.contracts
from deploy.interface.markup import chips, page, paragraphs, sample, schema_articles, schema_table, side, text
from deploy.interface.schemas import PREFIX, one_line
from shared.contracts.catalogue import CatalogueEvent
from shared.contracts.clicks import BillableClicksSettledV1, ClickRecordedV1
from shared.contracts.commissions import (
    CommissionPostedV1,
    FinanceActPostedV1,
    PrefundingChangedV1,
    StatementFinalisedV1,
    StatementVoidedV1,
)
from shared.contracts.conversions import ConversionChangedV1
from shared.contracts.erasures import ClickErasedV1, ErasureRequestedV1
from shared.contracts.events import Event
from shared.contracts.topics import (
    BILLABLE_CLICKS,
    CATALOGUE,
    CLICKS,
    CLICKS_ERASED,
    COMMISSIONS,
    CONVERSIONS,
    ERASURES,
    TOPICS,
    Topic,
)

EXAMPLES: Final = Path(shared.contracts.__file__).parent / "examples"
EVENTS: Final[Mapping[str, tuple[type[Event], ...]]] = {
    CATALOGUE: get_args(CatalogueEvent),
    CLICKS: (ClickRecordedV1,),
    BILLABLE_CLICKS: (BillableClicksSettledV1,),
    CONVERSIONS: (ConversionChangedV1,),
    COMMISSIONS: (
        CommissionPostedV1,
        FinanceActPostedV1,
        PrefundingChangedV1,
        StatementFinalisedV1,
        StatementVoidedV1,
    ),
    ERASURES: (ErasureRequestedV1,),
    CLICKS_ERASED: (ClickErasedV1,),
}
SISTERS: Final = {"Interface": "/docs", "OpenAPI": "/openapi.json", "AsyncAPI": "/asyncapi.json"}
_OVERVIEW: Final = """
What the services tell one another, and outside systems, on Apache Kafka or the log in PostgreSQL. Messages are JSON in
UTF-8 with `type` first, ordered per key.

Every event may arrive twice, late or out of order. Within a version only optional fields are added: ignore those you
do not know. Anything else becomes a new version, published beside the old one for a while.
"""


def build_events_document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document. Raises OSError for an event without example."""
    every = [event for events in EVENTS.values() for event in events]
    _, definitions = msgspec.json.schema_components(every, ref_template=PREFIX + "{name}")
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "Tributary events", "version": "1", "description": one_line(_OVERVIEW)},
        "defaultContentType": "application/json",
        "channels": {_id(topic.name): _channel(topic) for topic in TOPICS.values()},
        "operations": {f"{topic.producer}_sends_{_id(topic.name)}": _sending(topic) for topic in TOPICS.values()},
        "components": {
            "messages": {event.__name__: _message(event) for event in every},
            "schemas": {name: _tidied(schema) for name, schema in sorted(definitions.items())},
        },
    }


def event_example(event: type[Event]) -> dict[str, Any]:
    """The contract's own example of an event."""
    tag, version = event.__struct_config__.tag, event.__name__.rpartition("V")[2]
    example: dict[str, Any] = json.loads((EXAMPLES / f"{tag}_v{version}.json").read_text())["event"]
    return example


def _id(topic_name: str) -> str:
    return topic_name.replace(".", "_").replace("-", "_")


def _channel(topic: Topic) -> dict[str, Any]:
    kept = "kept for ever" if topic.retention_days is None else f"kept for {topic.retention_days} days"
    readers = ", ".join(topic.consumers) or "outside systems"
    compacted = "; compacted: the last event of each key is its whole state" if topic.compacted else ""
    return {
        "address": topic.name,
        "description": f"From {topic.producer} to {readers}. Key: `{topic.key}`; {kept}{compacted}.",
        "messages": {
            event.__name__: {"$ref": f"#/components/messages/{event.__name__}"} for event in EVENTS[topic.name]
        },
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"cleanup.policy": ["compact"] if topic.compacted else ["delete"]},
            }
        },
        "x-key": topic.key,
        "x-producer": topic.producer,
        "x-consumers": list(topic.consumers),
        "x-retention-days": topic.retention_days,
    }


def _sending(topic: Topic) -> dict[str, Any]:
    return {
        "action": "send",
        "summary": f"{topic.producer} publishes {topic.name}",
        "channel": {"$ref": f"#/channels/{_id(topic.name)}"},
        "messages": [
            {"$ref": f"#/channels/{_id(topic.name)}/messages/{event.__name__}"} for event in EVENTS[topic.name]
        ],
    }


def _message(event: type[Event]) -> dict[str, Any]:
    description = one_line(event.__doc__ or "")
    return {
        "name": str(event.__struct_config__.tag),
        "title": event.__name__,
        "summary": description.split(". ")[0].removesuffix("."),
        "description": description,
        "contentType": "application/json",
        "payload": {"$ref": f"{PREFIX}{event.__name__}"},
        "examples": [{"name": event.__name__, "payload": event_example(event)}],
    }


def _tidied(schema: Any) -> Any:
    if isinstance(schema, Mapping):
        kept = {
            name: _tidied(value) for name, value in schema.items() if not (name == "title" and isinstance(value, str))
        }
        if isinstance(kept.get("description"), str):
            kept["description"] = one_line(kept["description"])
        return kept
    return [_tidied(each) for each in schema] if isinstance(schema, list) else schema


def render_events_page(document: Mapping[str, Any]) -> str:
    """The page at /docs/events."""
    sections = {"Overview": {"top": "Overview"}}
    sections |= {
        channel["address"]: {name: name for name in channel["messages"]} for channel in document["channels"].values()
    }
    components = document["components"]
    parts = {name: schema for name, schema in components["schemas"].items() if name not in components["messages"]}
    sections["Schemas"] = {f"schema-{name}": name for name in parts}
    content = (
        f'<h1 id="top">{escape(document["info"]["title"])}</h1>{paragraphs(document["info"]["description"])}'
        + "".join("".join(_channel_section(document, channel)) for channel in document["channels"].values())
        + f"<h2>Schemas</h2>{schema_articles(parts)}"
        "<footer>Made from the contracts. Every example here is decoded by the tests.</footer>"
    )
    return page(title="Tributary: the events", side=side(SISTERS, sections, is_open=True), content=content)


def _channel_section(document: Mapping[str, Any], channel: Mapping[str, Any]) -> Iterator[str]:
    yield f"<h2>{escape(channel['address'])}</h2>"
    yield chips(
        [
            f"from {channel['x-producer']}",
            f"to {', '.join(channel['x-consumers']) or 'outside systems'}",
            f"partitions: {channel['bindings']['kafka']['partitions']}",
            "kept for ever" if channel["x-retention-days"] is None else f"kept for {channel['x-retention-days']} days",
        ]
    )
    yield f"<p>Key: <code>{escape(channel['x-key'])}</code></p>"
    for name in channel["messages"]:
        message = document["components"]["messages"][name]
        yield (
            f'<article id="{escape(name)}"><details open><summary><span class="verb send">event</span>'
            f'<code class="path">{escape(name)}</code><span class="says">{text(message["summary"])}</span></summary>'
            f'<div class="inside">{paragraphs(message["description"])}'
            f"{schema_table(document['components']['schemas'][name])}"
            f"<h4>Example</h4>{sample(message['examples'][0]['payload'])}</div></details></article>"
        )
