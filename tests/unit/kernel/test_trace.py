"""Trace ids are computed alike by everyone who holds a click ID, and every service keeps the same ones."""

import hashlib
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.click_id import spell_click_id
from shared.kernel.ids import new_id
from shared.kernel.trace import is_kept, sampling_threshold, trace_of_click

TRACE_IDS = st.text("0123456789abcdef", min_size=32, max_size=32)
RATIOS = st.floats(0.0, 1.0)


def test_a_clicks_trace_id_is_the_first_half_of_its_sha256() -> None:
    spelling = spell_click_id(bytes(range(35)))

    trace = trace_of_click(spelling)

    assert trace.trace_id == hashlib.sha256(spelling.encode()).hexdigest()[:32]
    assert trace.span_id == hashlib.sha256(spelling.encode()).hexdigest()[32:48]
    assert trace_of_click(spell_click_id(bytes(range(1, 36)))).trace_id != trace.trace_id


@given(TRACE_IDS)
def test_all_are_kept_at_one_and_none_at_zero(trace_id: str) -> None:
    assert is_kept(trace_id, sampling_threshold(1.0))
    assert not is_kept(trace_id, sampling_threshold(0.0))


@given(TRACE_IDS, RATIOS, RATIOS)
def test_what_is_kept_at_one_ratio_is_kept_at_every_larger_one(trace_id: str, one: float, other: float) -> None:
    small, large = sorted((one, other))

    assert is_kept(trace_id, sampling_threshold(large)) or not is_kept(trace_id, sampling_threshold(small))


@pytest.mark.parametrize("ratio", [0.01, 0.25, 0.9])
def test_the_ratio_holds_for_clicks_and_for_request_ids(ratio: float) -> None:
    threshold, many = sampling_threshold(ratio), 20_000
    clicks = [trace_of_click(spell_click_id(secrets.token_bytes(35))).trace_id for _ in range(many)]
    requests = [new_id().hex for _ in range(many)]
    margin = 6 * (ratio * (1 - ratio) * many) ** 0.5  # six standard deviations: once in a billion runs

    for ids in (clicks, requests):
        assert abs(sum(is_kept(each, threshold) for each in ids) - ratio * many) < margin


@pytest.mark.parametrize("ratio", [-0.1, 1.1, float("nan")])
def test_other_ratios_are_refused(ratio: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        sampling_threshold(ratio)
