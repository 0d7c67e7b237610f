"""Every event version has one example; it decodes, re-encodes to itself, and nothing in it was made mandatory later."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

import shared.contracts
from shared.contracts.catalogue import CATALOGUE_DECODER, CatalogueEvent
from shared.contracts.clicks import (
    BILLABLE_CLICKS_DECODER,
    CLICKS_DECODER,
    BillableClicksSettledV1,
    ClickRecordedV1,
)
from shared.contracts.commissions import (
    COMMISSIONS_DECODER,
    CommissionPostedV1,
    FinanceActPostedV1,
    PrefundingChangedV1,
    StatementFinalisedV1,
    StatementVoidedV1,
)
from shared.contracts.conversions import CONVERSIONS_DECODER, ConversionChangedV1
from shared.contracts.erasures import CLICKS_ERASED_DECODER, ERASURES_DECODER, ClickErasedV1, ErasureRequestedV1
from shared.contracts.events import Event, EventDecoder, EventUndecodable, encode_event
from shared.contracts.topics import (
    BILLABLE_CLICKS,
    CATALOGUE,
    CLICKS,
    CLICKS_ERASED,
    COMMISSIONS,
    CONVERSIONS,
    ERASURES,
    TOPICS,
)

EXAMPLES = sorted((Path(shared.contracts.__file__).parent / "examples").glob("*.json"))
DECODERS: dict[str, EventDecoder] = {
    CATALOGUE: CATALOGUE_DECODER,
    CLICKS: CLICKS_DECODER,
    BILLABLE_CLICKS: BILLABLE_CLICKS_DECODER,
    CONVERSIONS: CONVERSIONS_DECODER,
    COMMISSIONS: COMMISSIONS_DECODER,
    ERASURES: ERASURES_DECODER,
    CLICKS_ERASED: CLICKS_ERASED_DECODER,
}
EVENTS: tuple[type[Event], ...] = (
    *get_args(CatalogueEvent),
    ClickRecordedV1,
    BillableClicksSettledV1,
    ConversionChangedV1,
    CommissionPostedV1,
    FinanceActPostedV1,
    PrefundingChangedV1,
    StatementFinalisedV1,
    StatementVoidedV1,
    ErasureRequestedV1,
    ClickErasedV1,
)


def _example(path: Path) -> tuple[str, dict[str, Any]]:
    content = json.loads(path.read_text())
    return content["topic"], content["event"]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_survives_decoding_and_encoding(path: Path) -> None:
    topic, event = _example(path)

    decoded = DECODERS[topic].decode(json.dumps(event).encode())

    assert DECODERS[topic].decode(encode_event(decoded)) == decoded
    kept = json.loads(msgspec.json.encode(decoded))
    assert kept.keys() <= event.keys()
    assert {name: event[name] for name in kept if not _is_time(event[name])} == {
        name: value for name, value in kept.items() if not _is_time(event[name])
    }


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_shows_every_field_of_its_event(path: Path) -> None:
    topic, event = _example(path)

    decoded = DECODERS[topic].decode(json.dumps(event).encode())

    fields = {field.encode_name for field in msgspec.structs.fields(decoded)}
    assert set(event) == fields | {"type"}


def test_every_event_version_has_its_example_and_every_topic_a_decoder() -> None:
    named = {f"{event.__struct_config__.tag}_v{event.__name__.rpartition('V')[2]}" for event in EVENTS}

    assert named == {path.stem for path in EXAMPLES}
    assert set(TOPICS) == set(DECODERS)


@pytest.mark.parametrize("topic", sorted(DECODERS))
def test_unknown_fields_are_ignored_and_unknown_types_refused(topic: str) -> None:
    event = next(content for path in EXAMPLES for name, content in [_example(path)] if name == topic)

    assert DECODERS[topic].decode(json.dumps({**event, "from_the_future": 1}).encode())
    with pytest.raises(EventUndecodable):
        DECODERS[topic].decode(json.dumps({**event, "type": "unheard_of"}).encode())
    with pytest.raises(EventUndecodable):
        DECODERS[topic].decode(json.dumps({**event, "schema_version": 2}).encode())


@pytest.mark.parametrize("payload", [b"", b"{", b"[]", b"\xff\xfe", b"null", b"[" * 100_000])
def test_garbage_is_refused_with_a_reason_and_no_other_error(payload: bytes) -> None:
    for decoder in DECODERS.values():
        with pytest.raises(EventUndecodable):
            decoder.decode(payload)


def _is_time(value: Any) -> bool:
    return "T" in value and value.endswith("Z") if isinstance(value, str) else isinstance(value, list)
