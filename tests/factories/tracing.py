"""Settings of traces for a test's duration."""

from collections.abc import Iterator
from contextlib import contextmanager

from shared.runtime.settings import ProcessSettings
from shared.runtime.tracing import configure_tracing


def trace_settings(**values: object) -> ProcessSettings:
    """Settings of a production process on the embedded log."""
    return ProcessSettings.model_validate({"broker": "embedded", "environment": "production", **values})


@contextmanager
def keeping_traces(ratio: float) -> Iterator[None]:
    """Keep that share of traces within the block, none after it."""
    configure_tracing(trace_settings(trace_sample_ratio=ratio))
    try:
        yield
    finally:
        configure_tracing(trace_settings(trace_sample_ratio=0.0))
