"""Audit entries, showing only what a test cares about."""

from datetime import UTC, datetime
from typing import Any

from shared.kernel.ids import new_id
from shared.runtime.audit import AuditEntry


def audit_entry(**changes: Any) -> AuditEntry:
    """An admin pauses an offer."""
    values: dict[str, Any] = {
        "occurred_at": datetime.now(UTC),
        "role": "admin",
        "key_id": "adminkey",
        "merchant_id": None,
        "affiliate_id": None,
        "action": "POST /v1/offers/{offer_id}/pause",
        "object_type": "offer",
        "object_id": "7",
        "request_id": new_id().hex,
        "before_hash": bytes(range(32)),
        "after_hash": bytes(reversed(range(32))),
    }
    return AuditEntry(**{**values, **changes})
