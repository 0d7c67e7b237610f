"""The numbered outcomes of a postback. Numbers are public and stable: never reused, never renumbered (README)."""

from enum import IntEnum
from typing import Final


class Outcome(IntEnum):
    """What became of a postback. 1xx taken; 2xx taken, but credits nobody; 4xx refused; 5xx not now."""

    RECORDED = 100
    WAITING_FOR_OFFER_VERSION = 101
    HELD_ROBOT = 102
    HELD_FLOOD = 103
    ADJUSTMENT_RECORDED = 110
    FULLY_REFUNDED = 111
    DUPLICATE = 120
    TEST = 130

    UNATTRIBUTED = 200
    CLICK_TOO_OLD = 201
    CLICK_TOO_RECENT = 202
    LATE_BATCH = 203
    NOT_ENROLLED = 204
    OFFER_INACTIVE = 205
    OVER_CLICK_CAP = 206
    EVENT_NOT_OF_OFFER = 207
    AMOUNT_MISSING = 208
    FOREIGN_OFFER_DISCOVERED = 209

    MALFORMED = 400
    SIGNATURE_MISSING = 401
    SIGNATURE_INVALID = 402
    TIMESTAMP_OUTSIDE = 403
    CREDENTIAL_UNKNOWN = 404
    ADDRESS_NOT_ALLOWED = 405
    CLICK_ID_MALFORMED = 410
    CLICK_ID_FORGED = 411
    CLICK_ID_UNKNOWN_KEY = 412
    FOREIGN_OFFER = 413
    CONFLICT = 420
    ADJUSTMENT_CONFLICT = 421
    ADJUSTMENT_EXCEEDS = 422
    CONVERSION_NOT_FOUND = 423
    EVENT_AMBIGUOUS = 424
    BODY_TOO_LARGE = 430
    RATE_LIMITED = 431
    UNAVAILABLE = 500

    @property
    def label(self) -> str:
        """The outcome's public name, snake_case."""
        return self.name.lower()

    @property
    def http_status(self) -> int:
        """The status it answers with: 2xx exactly when the postback was taken."""
        return _HTTP_STATUS.get(self, 201 if self < 300 else 401)


_HTTP_STATUS: Final = {
    Outcome.DUPLICATE: 200,
    Outcome.TEST: 200,
    Outcome.MALFORMED: 422,
    Outcome.CLICK_ID_MALFORMED: 404,
    Outcome.CLICK_ID_FORGED: 404,
    Outcome.CLICK_ID_UNKNOWN_KEY: 404,
    Outcome.FOREIGN_OFFER: 403,
    Outcome.CONFLICT: 409,
    Outcome.ADJUSTMENT_CONFLICT: 409,
    Outcome.ADJUSTMENT_EXCEEDS: 422,
    Outcome.CONVERSION_NOT_FOUND: 404,
    Outcome.EVENT_AMBIGUOUS: 422,
    Outcome.BODY_TOO_LARGE: 413,
    Outcome.RATE_LIMITED: 429,
    Outcome.UNAVAILABLE: 503,
}


def outcome_document(code: int) -> dict[str, int | str]:
    """`{"code": 100, "name": "recorded"}`, as answers and receipts show it."""
    outcome = Outcome(code)
    return {"code": int(outcome), "name": outcome.label}
