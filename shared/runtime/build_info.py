"""What runs here, for whoever compares the processes of one network."""

from typing import Final

from shared.runtime.metrics import gauge

VERSION: Final = "0.1.0"
"""As in pyproject.toml, which the image does not carry."""

_build = gauge(
    "build", unit="info", meaning="Always 1; the labels say what runs", labels=["service", "process", "version"]
)


def show_build(service: str, process: str) -> None:
    """Export what this process is, from its start on. process: api or worker."""
    _build.labels(service, process, VERSION).set(1)
