"""The document, built once."""

from typing import Any

import pytest

from deploy.interface.document import build_document


@pytest.fixture(scope="session")
def document() -> dict[str, Any]:
    """The OpenAPI document as the code says it now."""
    return build_document()
