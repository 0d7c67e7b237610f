"""Why finance releases what was withheld. Codes are public and stable."""

from typing import Final

from shared.kernel.errors import InvalidValue

RELEASE_REASONS: Final = ("budget_raised", "cap_mistaken", "goodwill", "merchant_agreed", "rate_recorded", "other")
"""The codes; the service's README says when to take which."""


def parse_release_reason(code: str) -> str:
    """`code`, if it is one. Raises InvalidValue naming `reason_code`."""
    if code not in RELEASE_REASONS:
        raise InvalidValue("reason_code", "reason_code_unknown", f"must be one of: {', '.join(RELEASE_REASONS)}")
    return code
