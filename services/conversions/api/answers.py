"""An answer to a postback as JSON: the recorded one plain, a refusal as problem+json that still names its receipt."""

from typing import Any, Final
from uuid import UUID

import orjson

from services.conversions.domain.outcomes import Outcome, outcome_document
from services.conversions.usecases.answer import Answer
from services.conversions.usecases.judge_postback import Submission
from shared.runtime.problem import FieldError, Headers, Problem, unavailable
from shared.runtime.told_trace import told_header
from shared.runtime.tracing import keeps, sends_spans

_DETAILS: Final = {
    Outcome.MALFORMED: "Some fields are not valid.",
    Outcome.CLICK_ID_MALFORMED: "The click ID is none of ours.",
    Outcome.CLICK_ID_FORGED: "The click ID does not verify.",
    Outcome.CLICK_ID_UNKNOWN_KEY: "The click ID was not issued here, or its key has been retired.",
    Outcome.FOREIGN_OFFER: "The click belongs to an offer of another merchant.",
    Outcome.CONFLICT: "This order, or this click, was reported before with other content.",
    Outcome.ADJUSTMENT_CONFLICT: "This adjustment was reported before with other content.",
    Outcome.ADJUSTMENT_EXCEEDS: "More is taken back than is left of the order.",
    Outcome.CONVERSION_NOT_FOUND: "No conversion of this order is known.",
    Outcome.EVENT_AMBIGUOUS: "The order has conversions of several events: name one.",
    Outcome.BODY_TOO_LARGE: "The body is too large.",
    Outcome.RATE_LIMITED: "Too many postbacks of this merchant for now. Nothing was taken.",
    Outcome.SIGNATURE_MISSING: "The request carries neither a signature, last in the query, nor a token.",
    Outcome.SIGNATURE_INVALID: "The signature does not verify.",
    Outcome.TIMESTAMP_OUTSIDE: "The time of signing is more than 300 seconds away from ours.",
    Outcome.CREDENTIAL_UNKNOWN: "The token is not valid for this merchant.",
    Outcome.ADDRESS_NOT_ALLOWED: "This credential may not be used from this address.",
}


def answer_document(answer: Answer) -> dict[str, Any]:
    """The members every answer has, taken or not."""
    return {
        "receipt_id": str(answer.receipt_id),
        "outcome": outcome_document(answer.outcome),
        "conversion_id": _text(answer.conversion_id),
        "status": answer.status,
        "duplicate": answer.duplicate,
    }


def outcome_problem(outcome: Outcome, faults: tuple[FieldError, ...] = ()) -> Problem:
    """The problem of a refusal."""
    code = "validation_failed" if outcome is Outcome.MALFORMED else outcome.label
    return Problem(outcome.http_status, code, _DETAILS.get(outcome, ""), errors=faults)


def answer_problem(answer: Answer) -> Problem:
    """The problem of an answer that was not taken."""
    return outcome_problem(answer.outcome, tuple(FieldError(f.field, f.code, f.message) for f in answer.faults))


def full_document(answer: Answer, request_id: str) -> dict[str, Any]:
    """The whole body of an answer; for a refusal the problem document beside the answer's members.

    Where both have a member the problem's stands: the `status` of a refusal is the HTTP number (RFC 9457).
    """
    document = answer_document(answer)
    return document if answer.is_taken else document | answer_problem(answer).document(request_id)


def encode_answer(answer: Answer, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers and body, for a plain ASGI door."""
    body = orjson.dumps(full_document(answer, request_id))
    content_type = b"application/json" if answer.is_taken else b"application/problem+json"
    headers = [
        (b"content-type", content_type),
        (b"content-length", str(len(body)).encode("ascii")),
        (b"cache-control", b"no-store"),
        (b"x-request-id", request_id.encode("ascii")),
    ]
    return answer.http_status, headers, body


def trace_header(submission: Submission, answer: Answer) -> Headers:
    """What tells the gateway to log the request under its click's trace: refusals, and traces that are kept."""
    if answer.is_taken and not keeps(submission.trace_id):
        return []
    if not sends_spans():
        return [told_header(submission.trace_id)]
    parent_id = None if submission.claim is None else submission.claim.trace.span_id
    return [told_header(submission.trace_id, span_id=submission.door_span_id, parent_id=parent_id)]


def not_now() -> Problem:
    """503: nothing was taken; the same postback may be sent again."""
    return unavailable(1, Outcome.UNAVAILABLE.label, "Nothing was taken. Send the same postback again in a moment.")


def over_limit(retry_after_seconds: int, limit_headers: Headers) -> Problem:
    """429: nothing was taken or noted; the same postback may be sent again after `Retry-After`."""
    problem = outcome_problem(Outcome.RATE_LIMITED)
    problem.headers = {name.decode("ascii"): value.decode("ascii") for name, value in limit_headers}
    problem.headers["Retry-After"] = str(max(1, retry_after_seconds))
    return problem


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
