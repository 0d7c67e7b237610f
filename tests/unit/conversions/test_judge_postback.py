"""Before the database is asked: what a click ID must prove, and what a test leaves behind."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.conversions.domain.catalogue import Catalogue
from services.conversions.domain.conversion import Actor
from services.conversions.domain.outcomes import Outcome
from services.conversions.usecases.judge_postback import Arrival, Submission, judge_postback
from shared.kernel.click_id import CLICK_ID_BYTES, ClickFlags, sign_click_id, spell_click_id
from shared.kernel.ids import new_id
from shared.kernel.personal_values import Screen
from tests.factories.conversions import MERCHANT, click, offer_version

SECRET = b"k" * 32
CLICK_ID = sign_click_id(click(), key_id=1, secret=SECRET)


def judged(click_id: str, **fields: Any) -> Submission:
    catalogue = Catalogue()
    catalogue.put_version(offer_version())
    arrival = Arrival(new_id(), MERCHANT, datetime.now(UTC), "query", Actor("merchant_postback"), "r")
    known = {"click_id": click_id, "order_id": "o", "amount": "1.00", "currency": "EUR"}
    return judge_postback(
        known | fields, arrival, catalogue=catalogue, click_secrets={1: SECRET}, screen=Screen(b"p" * 32)
    )


def outcome_of(click_id: str) -> Outcome | None:
    refusal = judged(click_id).refusal
    return None if refusal is None else refusal.outcome


def test_every_flipped_bit_is_refused() -> None:
    for bit in range(CLICK_ID_BYTES * 8):
        flipped = bytearray(CLICK_ID)
        flipped[bit // 8] ^= 1 << bit % 8

        assert outcome_of(spell_click_id(bytes(flipped))) in (Outcome.CLICK_ID_FORGED, Outcome.CLICK_ID_UNKNOWN_KEY)


def test_every_truncation_and_extension_is_refused() -> None:
    spelt = spell_click_id(CLICK_ID)

    for length in range(1, len(spelt)):
        assert outcome_of(spelt[:length]) is Outcome.CLICK_ID_MALFORMED
    for more in ("0", "=", " ", "%20", "\n"):
        assert outcome_of(spelt + more) is Outcome.CLICK_ID_MALFORMED


def test_a_change_of_case_is_the_same_click() -> None:
    spelt = spell_click_id(CLICK_ID)
    lower, upper = judged(spelt), judged(spelt.upper())

    assert lower.claim is not None
    assert upper.claim is not None
    assert lower.claim.spelling == upper.claim.spelling == spelt
    assert lower.refusal is upper.refusal is None


@pytest.mark.parametrize(("flags", "test"), [(ClickFlags.TEST, None), (ClickFlags.NONE, "1")])
def test_a_test_click_or_a_test_postback_is_a_test(flags: ClickFlags, test: str | None) -> None:
    spelt = spell_click_id(sign_click_id(click(flags=flags), key_id=1, secret=SECRET))

    assert judged(spelt, test=test).is_test


def test_a_percentage_needs_an_amount_and_a_flat_term_does_not() -> None:
    spelt = spell_click_id(CLICK_ID)
    sale, lead = judged(spelt, amount=None), judged(spelt, amount=None, event="lead")

    assert sale.refusal is not None
    assert [fault.field for fault in sale.refusal.faults] == ["amount"]
    assert lead.refusal is None
