"""Why an affiliate's payouts are stopped, by finance."""

from typing import Final

from shared.kernel.errors import InvalidValue

STOP_REASONS: Final = (
    "affiliate_asked",
    "bank_details_doubtful",
    "documents_missing",
    "legal_order",
    "suspected_fraud",
    "unpaid_debt",
)
"""The codes; the service's README says when to take which."""


def parse_stop_reason(code: str) -> str:
    """`code`, if it is one. Raises InvalidValue naming `reason_code`."""
    if code not in STOP_REASONS:
        raise InvalidValue("reason_code", "reason_code_unknown", f"must be one of: {', '.join(STOP_REASONS)}")
    return code
