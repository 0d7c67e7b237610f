"""The AsyncAPI document: every topic and event of the contracts, each with the example that the tests decode."""

from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from deploy.interface.events import EVENTS, build_events_document
from shared.contracts.events import Event
from shared.contracts.topics import TOPICS

DOCUMENT = build_events_document()


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        for name, value in node.items():
            if name == "$ref":
                yield value
            yield from _references(value)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _resolved(reference: str) -> Any:
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found


def test_every_topic_is_a_channel_and_every_event_a_message() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert {channel["address"] for channel in DOCUMENT["channels"].values()} == set(TOPICS) == set(EVENTS)
    assert set(DOCUMENT["components"]["messages"]) == {event.__name__ for event in _leaves(Event)}


def _leaves(event: type[Event]) -> Iterator[type[Event]]:
    """Every event of the product; other tests declare some of their own."""
    for child in event.__subclasses__():
        if child.__module__.startswith("shared.contracts."):
            yield child


def test_every_reference_leads_somewhere_and_operations_name_their_channels_messages() -> None:
    for reference in _references(DOCUMENT):
        assert _resolved(reference)
    for operation in DOCUMENT["operations"].values():
        assert operation["action"] == "send"
        prefix = operation["channel"]["$ref"] + "/messages/"
        assert all(message["$ref"].startswith(prefix) for message in operation["messages"])


def test_every_example_is_what_its_schema_says() -> None:
    resource = Resource.from_contents(DOCUMENT, default_specification=DRAFT202012)
    registry: Registry[Any] = Registry().with_resource("urn:events", resource)
    for name, message in DOCUMENT["components"]["messages"].items():
        validator = Draft202012Validator({"$ref": f"urn:events#/components/schemas/{name}"}, registry=registry)
        for example in message["examples"]:
            faults = [fault.message for fault in validator.iter_errors(example["payload"])]
            assert faults == [], name
            broken = {**example["payload"], "event_id": 7}
            assert not validator.is_valid(broken), f"{name}: the schema takes anything"


def test_a_channel_says_who_writes_who_reads_and_how_long_it_is_kept() -> None:
    for channel in DOCUMENT["channels"].values():
        topic = TOPICS[channel["address"]]
        assert (channel["x-producer"], channel["x-consumers"]) == (topic.producer, list(topic.consumers))
        assert channel["bindings"]["kafka"]["partitions"] == topic.partitions
        assert topic.key in channel["description"]
