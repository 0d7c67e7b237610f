"""Whatever good terms are sent, the event, the row and the answers say the same."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings

from services.commissions.domain.catalogue import read_offer_version
from services.gateway.api.offer_models import OfferVersionAnswer, VersionBody
from services.gateway.api.term_answers import CapAnswer, TermAnswer
from services.gateway.domain.offer_rules import read_version
from services.gateway.domain.offers import OfferVersion, VersionContent
from services.gateway.storage.term_codec import (
    decode_caps,
    decode_terms,
    encode_caps,
    encode_terms,
    read_wire_cap,
    read_wire_term,
)
from services.gateway.usecases.publish_catalogue import version_event
from shared.contracts.catalogue import CATALOGUE_DECODER, OfferVersionPublishedV1
from shared.contracts.events import encode_event
from tests.factories.gateway import version_body
from tests.factories.offer_terms import meaningful, money_parts

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)


def _content(parts: dict[str, Any]) -> VersionContent:
    body = VersionBody.model_validate(version_body(**parts))
    return read_version(body.draft(), allow_loopback_http=False)


def _answered(terms: Any, caps: Any) -> dict[str, Any]:
    shown = [TermAnswer.of(term, with_margin=True).model_dump(mode="json") for term in terms]
    return {"terms": shown, "caps": [CapAnswer.of(cap).model_dump(mode="json") for cap in caps]}


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(money_parts())
def test_sent_terms_are_published_stored_and_answered_unchanged(parts: dict[str, Any]) -> None:
    content = _content(parts)
    version = OfferVersion(offer_id=1, version=1, merchant_id=1, content=content, created_at=NOON)

    event = CATALOGUE_DECODER.decode(encode_event(version_event(version)))
    assert isinstance(event, OfferVersionPublishedV1)
    published = _answered([read_wire_term(t) for t in event.terms], [read_wire_cap(c) for c in event.caps])
    stored = _answered(decode_terms(encode_terms(content.terms)), decode_caps(encode_caps(content.caps)))
    answered = OfferVersionAnswer.of(version).model_dump(mode="json")

    sent = meaningful({"terms": parts["terms"], "caps": parts["caps"]})
    # A margin that is left out where its kind has one is zero.
    assert meaningful(published) == meaningful(stored) == sent
    assert meaningful({name: answered[name] for name in parts}) == meaningful(parts)
    assert event.pays_in == parts["pays_in"]
    assert set(read_offer_version(event).terms) == {term["event"] for term in parts["terms"]}, "and pricing reads it"


@settings(max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(money_parts())
def test_what_is_answered_may_be_sent_again(parts: dict[str, Any]) -> None:
    content = _content(parts)
    answered = OfferVersionAnswer.of(
        OfferVersion(offer_id=1, version=1, merchant_id=1, content=content, created_at=NOON)
    ).model_dump(mode="json")

    again = _content({name: answered[name] for name in parts})

    assert (again.terms, again.caps, again.pays_in) == (content.terms, content.caps, content.pays_in)


def test_terms_of_before_are_spelled_as_they_were() -> None:
    """What is stored keeps its bytes, and so do the audit chain's hashes of it."""
    stored = '[{"event":"sale","kind":"percentage","rate_percent":"10","margin_percent":"2"}]'

    (term,) = decode_terms(stored)

    assert encode_terms([term]) == stored
    assert msgspec.json.decode(encode_terms([term])) == msgspec.json.decode(stored)
