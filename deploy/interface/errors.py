"""Every code a refusal can carry: its status, a sample of its text, and which routes can answer it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

from deploy.interface.schemas import PREFIX
from services.gateway.domain.api_keys import KEY_ROLES
from services.gateway.domain.routes import Route
from shared.runtime.problem import PROBLEM_CONTENT_TYPE

SAMPLE_REQUEST_ID: Final = "01a20cab0ff472d68b313b54970c2b45"
FieldFault = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Refusal:
    """One code. detail: for people, as it reads in an answer. fault: field, code and message of a sample."""

    status: int
    detail: str
    fault: FieldFault | None = None


REFUSALS: Final[Mapping[str, Refusal]] = {
    "request_malformed": Refusal(400, "The request is no well-formed HTTP."),
    "target_malformed": Refusal(400, "Percent-encode the path and the query."),
    "bad_request": Refusal(400, "The request cannot be understood."),
    "unauthenticated": Refusal(401, "A valid API key is needed."),
    "signature_missing": Refusal(401, "The request carries neither a signature, last in the query, nor a token."),
    "signature_invalid": Refusal(401, "The signature does not verify."),
    "timestamp_outside": Refusal(401, "The time of signing is more than 300 seconds away from ours."),
    "credential_unknown": Refusal(401, "The token is not valid for this merchant."),
    "address_not_allowed": Refusal(401, "This credential may not be used from this address."),
    "role_not_allowed": Refusal(403, "This key's role may not do this."),
    "foreign_offer": Refusal(403, "The click belongs to an offer of another merchant."),
    "route_not_found": Refusal(404, "There is no such route."),
    "link_not_found": Refusal(404, "There is no such link."),
    "party_not_found": Refusal(404, "There is no such party."),
    "merchant_not_found": Refusal(404, "There is no such merchant here."),
    "affiliate_not_found": Refusal(404, "There is no such affiliate here."),
    "payout_settings_not_found": Refusal(404, "The affiliate has no payout settings."),
    "payout_run_not_found": Refusal(404, "There is no such payout run."),
    "payout_transition_refused": Refusal(409, "a payout run does not go from draft to exported."),
    "payout_run_empty": Refusal(409, "Nobody is left to be paid by this run; cancel it."),
    "payout_not_exported": Refusal(409, "The run is not exported yet."),
    "payout_format_of_another_method": Refusal(409, "this run is paid by pain.001."),
    "payout_file_changed": Refusal(409, "The file is not the one that was exported; it is not handed out."),
    "payer_missing": Refusal(409, "set COMMISSIONS_PAYER_NAME and COMMISSIONS_PAYER_IBAN."),
    "self_approval": Refusal(403, "The key that drafted a run may not approve it."),
    "settlement_refused": Refusal(422, "The file tells of other sums than were paid out; nothing of it was taken."),
    "payout_stop_not_found": Refusal(404, "The affiliate's payouts are not stopped."),
    "affiliate_group_not_found": Refusal(404, "There is no such affiliate group here."),
    "offer_not_found": Refusal(404, "There is no such offer here."),
    "offer_version_not_found": Refusal(404, "There is no such offer version here."),
    "enrolment_not_found": Refusal(404, "There is no such enrolment here."),
    "key_not_found": Refusal(404, "There is no such key here."),
    "credential_not_found": Refusal(404, "There is no such credential."),
    "receipt_not_found": Refusal(404, "There is no such receipt."),
    "conversion_not_found": Refusal(404, "There is no such conversion."),
    "commission_not_found": Refusal(404, "There is no such commission."),
    "erasure_not_found": Refusal(404, "There is no such erasure."),
    "bulk_job_not_found": Refusal(404, "There is no such job."),
    "exchange_rate_missing": Refusal(404, "No exchange rate of USD/EUR holds on 2026-11-24."),
    "goal_not_found": Refusal(404, "There is no such goal."),
    "goals_exhausted": Refusal(409, "The network has 1000 goals, which is the most."),
    "payment_not_found": Refusal(404, "There is no such payment."),
    "payment_known": Refusal(409, "This payment is recorded already; another one has another reference."),
    "payment_taken_back": Refusal(409, "This payment is taken back already, or takes back another."),
    "statement_not_found": Refusal(404, "There is no such statement."),
    "statement_transition_refused": Refusal(409, "A statement that is void cannot be made void."),
    "block_not_found": Refusal(404, "There is no such block yet."),
    "click_id_malformed": Refusal(404, "The click ID is none of ours."),
    "click_id_forged": Refusal(404, "The click ID does not verify."),
    "click_id_unknown_key": Refusal(404, "The click ID was not issued here, or its key has been retired."),
    "method_not_allowed": Refusal(405, "This path has other methods."),
    "request_too_slow": Refusal(408, "The request did not arrive in time."),
    "offer_transition_refused": Refusal(409, "An offer that is ended cannot become active."),
    "offer_ended": Refusal(409, "An ended offer takes no new version."),
    "offer_not_active": Refusal(409, "Applications are for active offers."),
    "offer_versions_exhausted": Refusal(409, "An offer has at most 65535 versions."),
    "cap_redefined": Refusal(409, "An earlier version has a cap of this name with another scope, period or measure."),
    "affiliate_groups_exhausted": Refusal(409, "An affiliate is and was in at most 50 groups."),
    "already_enrolled": Refusal(409, "The affiliate is approved for this offer."),
    "enrolment_transition_refused": Refusal(409, "An enrolment that is ended cannot become rejected."),
    "enrolment_intervals_exhausted": Refusal(409, "An enrolment opens at most 100 times."),
    "key_id_taken": Refusal(409, "The drawn key id exists; send the request again."),
    "key_not_current": Refusal(409, "This key was rotated or revoked already."),
    "commission_still_held": Refusal(409, "What the commission was held for is missing still."),
    "nothing_withheld": Refusal(409, "Nothing of the commission is withheld."),
    "transition_refused": Refusal(409, "A conversion that is reversed cannot take this."),
    "exchange_rate_differs": Refusal(409, "EUR/USD of 2026-11-23 is recorded otherwise; a correction has a reason."),
    "bulk_jobs_open": Refusal(409, "Too many jobs are not finished yet: wait for one of them."),
    "exchange_rate_needed": Refusal(409, "no rate of USD/EUR holds on 2026-11-24."),
    "exchange_exceeds_payable": Refusal(409, "12.34 USD is payable now."),
    "period_open": Refusal(409, "2026-11 is not closed yet."),
    "revaluation_done": Refusal(409, "2026-10 is revalued already."),
    "adjustment_conflict": Refusal(409, "This adjustment_id was used with other content."),
    "conflict": Refusal(409, "This order, or this click, was reported before with other content."),
    "idempotency_in_progress": Refusal(409, "A request with this Idempotency-Key is running; wait for it."),
    "idempotent_response_unavailable": Refusal(409, "This was done already, and its secret is shown only once."),
    "body_too_large": Refusal(413, "The body may have at most 65536 bytes."),
    "target_too_long": Refusal(414, "Path and query together are too long."),
    "unsupported_media_type": Refusal(415, "Send the body as application/json."),
    "validation_failed": Refusal(
        422, "Some fields are not valid.", ("limit", "less_than_equal", "Input should be less than or equal to 200")
    ),
    "adjustment_exceeds": Refusal(422, "More is taken back than is left of the order."),
    "statement_too_long": Refusal(422, "A PDF holds at most 200000 lines: ask for xlsx or csv."),
    "event_ambiguous": Refusal(422, "The order has conversions of several events: name one."),
    "idempotency_key_reused": Refusal(422, "This Idempotency-Key belongs to another request."),
    "rate_limited": Refusal(429, "Too many requests for now."),
    "headers_too_large": Refusal(431, "The headers are too large or too many."),
    "internal_error": Refusal(500, "Something broke on our side; quote the request id."),
    "unavailable": Refusal(503, "Try again in a moment."),
    "keys_unavailable": Refusal(503, "Keys cannot be checked now; try again in a moment."),
    "database_unavailable": Refusal(503, "Try again in a moment."),
    "upstream_unavailable": Refusal(503, "Try again in a moment."),
    "upstream_timeout": Refusal(504, "The answer took too long."),
}
MEANINGS: Final[Mapping[int, str]] = {
    400: "The request cannot be read",
    401: "No valid credentials; wrong and missing ones look the same",
    403: "Not for this caller",
    404: "Not here, or not the caller's: the two look the same",
    405: "This path has other methods; `Allow` names them",
    408: "The request arrived too slowly",
    409: "In conflict with what stands",
    413: "The body is too large",
    414: "Path and query together are too long",
    415: "The body is not `application/json`",
    422: "Some fields are not valid; `errors` names them",
    429: "Too many requests; `Retry-After` says how long to wait",
    431: "The headers are too large or too many",
    500: "Broken on our side",
    503: "Not now, and nothing was taken; `Retry-After` says when to send the same again",
    504: "No answer in time; whether it took effect is unknown: repeat it with the same Idempotency-Key",
}
_EDGE: Final = ("request_malformed", "request_too_slow", "target_too_long", "headers_too_large")
_RETRY: Final = frozenset({429, 503, 504})


def refusals_of(
    route: Route, own: tuple[str, ...], *, has_json_body: bool, is_idempotent: bool, is_strict: bool
) -> dict[int, list[str]]:
    """The codes that one operation can answer, by status.

    own: those of its own rules. is_strict: it judges its query and its fields (everything but the plain ASGI doors).
    """
    codes = [*_EDGE, *own, "body_too_large", "internal_error", "upstream_timeout"]
    if route.owner != "gateway":
        codes += ["target_malformed", "upstream_unavailable"]
    if not route.is_anonymous:
        codes += ["unauthenticated", "keys_unavailable", "database_unavailable"]
        codes += [] if route.roles == frozenset(KEY_ROLES) else ["role_not_allowed"]
    if route.metering != "none" or not route.is_anonymous:
        codes.append("rate_limited")
    codes += ["validation_failed"] if is_strict else []
    codes += ["unsupported_media_type"] if has_json_body else []
    codes += ["idempotency_in_progress", "idempotency_key_reused"] if is_idempotent else []
    by_status: dict[int, list[str]] = {}
    for code in sorted(set(codes)):
        by_status.setdefault(REFUSALS[code].status, []).append(code)
    return dict(sorted(by_status.items()))


def refusal_response(status: int, codes: list[str], *, is_metered: bool, schema: str = "Problem") -> dict[str, Any]:
    """The OpenAPI response of one status: its codes enumerated, an example of each."""
    headers = {"X-Request-Id": _header("XRequestId")}
    if status in _RETRY or "idempotency_in_progress" in codes:
        headers["Retry-After"] = _header("RetryAfter")
    if status == 401:
        headers["WWW-Authenticate"] = _header("WWWAuthenticate")
    if status == 429 and is_metered:
        headers |= {"RateLimit": _header("RateLimit"), "RateLimit-Policy": _header("RateLimitPolicy")}
    content = {
        "schema": {
            "allOf": [{"$ref": PREFIX + schema}],
            "properties": {"code": {"enum": codes}},
        },
        "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
    }
    return {"description": MEANINGS[status], "headers": headers, "content": {PROBLEM_CONTENT_TYPE: content}}


def refusal_examples() -> dict[str, Any]:
    """An example of every code, for the document's components."""
    return {code: {"summary": refusal.detail, "value": problem_sample(code)} for code, refusal in REFUSALS.items()}


def shared_responses(paths: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Moves what several operations answer alike into components, by the status and its codes; gives those."""
    seen: dict[str, list[dict[str, Any]]] = {}
    for operation in (each for item in paths.values() for each in item.values()):
        for status, response in operation["responses"].items():
            content = response.get("content", {})
            if list(content) == [PROBLEM_CONTENT_TYPE]:
                codes = content[PROBLEM_CONTENT_TYPE]["schema"]["properties"]["code"]["enum"]
                limits = ".limited" if "RateLimit" in response["headers"] else ""
                receipt = ".receipt" if "PostbackProblem" in str(content) else ""
                seen.setdefault(f"{status}.{'.'.join(codes)}{limits}{receipt}", []).append(operation["responses"])
    shared = {}
    for name, users in seen.items():
        if len(users) > 1:
            status = name.partition(".")[0]
            shared[name] = users[0][status]
            for responses in users:
                responses[status] = {"$ref": f"#/components/responses/{name}"}
    return dict(sorted(shared.items()))


def problem_sample(code: str) -> dict[str, Any]:
    """A problem document with this code, as a caller gets it."""
    refusal = REFUSALS[code]
    names = ("field", "code", "message")
    return {
        "type": f"urn:tributary:problem:{code}",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "code": code,
        "detail": refusal.detail,
        "request_id": SAMPLE_REQUEST_ID,
        "errors": [] if refusal.fault is None else [dict(zip(names, refusal.fault, strict=True))],
    }


def _header(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/headers/{name}"}
