"""Why a person, or a rule, changed a conversion. Codes are public and stable."""

from enum import StrEnum

from shared.kernel.errors import InvalidValue


class ReasonCode(StrEnum):
    """Required for reject, reverse and adjust; the last four are the platform's own."""

    CUSTOMER_RETURN = "customer_return"
    ORDER_CANCELLED = "order_cancelled"
    PAYMENT_FAILED = "payment_failed"
    DUPLICATE_ORDER = "duplicate_order"
    FRAUD = "fraud"
    ORDER_ERROR = "order_error"
    OUT_OF_STOCK = "out_of_stock"
    NOT_COMPLIANT = "not_compliant"
    CREDITED_ELSEWHERE = "credited_elsewhere"
    TEST_ORDER = "test_order"
    GOODWILL = "goodwill"
    OTHER = "other"
    REFUND_REPORTED = "refund_reported"
    VALIDATION_PASSED = "validation_passed"
    CLICK_ID_ADDED = "click_id_added"
    OFFER_VERSION_ARRIVED = "offer_version_arrived"


_PLATFORM_ONLY = frozenset(
    {
        ReasonCode.REFUND_REPORTED,
        ReasonCode.VALIDATION_PASSED,
        ReasonCode.CLICK_ID_ADDED,
        ReasonCode.OFFER_VERSION_ARRIVED,
    }
)
PEOPLES_REASONS = tuple(code.value for code in ReasonCode if code not in _PLATFORM_ONLY)


def parse_reason_code(text: str) -> ReasonCode:
    """A reason that people may give. Raises InvalidValue(field="reason_code")."""
    if text not in PEOPLES_REASONS:
        raise InvalidValue("reason_code", "reason_code_unknown", f"must be one of {', '.join(PEOPLES_REASONS)}")
    return ReasonCode(text)
