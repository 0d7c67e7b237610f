"""The postback door: `GET|POST /postback`, plain ASGI, since a framework would cost more than the rest.

Taken and committed before 2xx, or not taken at all (I1); a receipt wherever the merchant was authenticated (I7).
"""

import time
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from services.conversions.api.answers import encode_answer, not_now, outcome_problem, trace_header
from services.conversions.api.client_address import find_client_address
from services.conversions.api.desk import Desk
from services.conversions.api.postback_sender import RawPostback, Sender, SenderUnknown, identify
from services.conversions.domain.conversion import Actor
from services.conversions.domain.outcomes import Outcome
from services.conversions.usecases.answer import Answer
from services.conversions.usecases.judge_postback import Arrival, FieldFault, Refusal, Submission
from services.conversions.usecases.postback_group import PostbacksUnavailable
from shared.kernel.ids import new_id
from shared.runtime.failpoint import failpoint
from shared.runtime.http_observer import new_request_id
from shared.runtime.metrics import counter, histogram
from shared.runtime.problem import Headers, Problem, method_not_allowed, send_problem
from shared.runtime.strict_route import BODY_BYTES_MAX, read_body
from shared.runtime.tracing import SPAN_HEADER, keeps, sends_spans, span

POSTBACK_PATH: Final = "/postback"
ACTOR_KIND: Final = "merchant_postback"

_answers = counter("postbacks", unit="requests", meaning="Postbacks answered, by HTTP status", labels=["status"])
_seconds = histogram("postback", unit="seconds", meaning="From the request to the answer of a postback that was judged")
_by_status = {
    status: _answers.labels(str(status)) for status in (200, 201, 401, 403, 404, 405, 409, 413, 422, 429, 500, 503)
}


@dataclass(slots=True)
class _Headers:
    content_type: str = ""
    signature: str = ""
    authorization: str = ""
    forwarded_for: str = ""


class PostbackDoor:
    """The ASGI application at `/postback`."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request_id, started = new_request_id(), time.perf_counter()
        try:
            if scope["method"] not in ("GET", "POST"):
                raise method_not_allowed(["GET", "POST"])
            if not self._desk.is_ready:
                raise not_now()
            answer, told = await self._accept(scope, receive, request_id, started)
        except Problem as problem:
            _count(problem.status)
            await send_problem(send, problem, request_id)
            return
        except ClientDisconnect:
            return
        except Exception:
            _count(500)
            raise
        _count(answer.http_status)
        status, headers, body = encode_answer(answer, request_id)
        await send({"type": "http.response.start", "status": status, "headers": [*headers, *told]})
        await send({"type": "http.response.body", "body": body})
        _seconds.observe(time.perf_counter() - started)
        failpoint("postback.after_answer")

    async def _accept(self, scope: Scope, receive: Receive, request_id: str, started: float) -> tuple[Answer, Headers]:
        """The answer, and what to tell the gateway of it."""
        raw, is_too_large = await _read(scope, receive, self._desk)
        now = self._desk.clock.now()
        try:
            sender = identify(raw, self._desk.book, now)
        except SenderUnknown as unknown:
            if is_too_large:
                raise outcome_problem(Outcome.BODY_TOO_LARGE) from None
            self._desk.rejected.note(
                unknown.claimed_merchant_id,
                unknown.outcome,
                transport=raw.transport,
                request_id=request_id,
                received_at=now,
            )
            raise _unauthenticated(unknown.outcome) from None
        limit = await self._desk.count(sender.credential.merchant_id)
        submission = self._submission(sender, raw, request_id, now, is_too_large=is_too_large)
        try:
            answers = await self._desk.group.record([submission])
        except PostbacksUnavailable:
            raise not_now() from None
        if sends_spans():
            self._make_span(scope, submission, answers[0], started)
        return answers[0], [*limit, *trace_header(submission, answers[0])]

    def _make_span(self, scope: Scope, submission: Submission, answer: Answer, started: float) -> None:
        """The postback's own span: under the gateway's request where that makes one, else under its click."""
        if answer.is_taken and not keeps(submission.trace_id):
            return
        click_span_id = None if submission.claim is None else submission.claim.trace.span_id
        has_door = any(name == SPAN_HEADER for name, _ in scope["headers"])
        span(
            "postback",
            trace_id=submission.trace_id,
            span_id=submission.span_id,
            parent_id=submission.door_span_id if has_door else click_span_id,
            seconds=time.perf_counter() - started,
            kind="server",
            attributes={
                "tributary.outcome": answer.outcome.label,
                "tributary.receipt_id": str(answer.receipt_id),
                "tributary.duplicate": answer.duplicate,
            },
        )

    def _submission(
        self, sender: Sender, raw: RawPostback, request_id: str, now: datetime, *, is_too_large: bool
    ) -> Submission:
        credential = sender.credential
        actor = Actor(ACTOR_KIND, str(credential.id))
        arrival = Arrival(new_id(), credential.merchant_id, now, raw.transport, actor, request_id)
        if is_too_large:
            return Submission(arrival, refusal=Refusal(Outcome.BODY_TOO_LARGE))
        if sender.fault is not None:
            faults = [FieldFault(e.field, e.code, e.message) for e in sender.fault.errors]
            return Submission(arrival, refusal=Refusal(Outcome.MALFORMED, faults))
        return self._desk.judge(sender.fields, arrival)


async def _read(scope: Scope, receive: Receive, desk: Desk) -> tuple[RawPostback, bool]:
    """The request, and whether its body was larger than we take (it is empty then)."""
    headers = _read_headers(scope)
    body, is_too_large = b"", False
    if scope["method"] == "POST":
        try:
            body = await read_body(receive, limit_bytes=BODY_BYTES_MAX)
        except Problem:
            is_too_large = True
    client = scope.get("client")
    address = find_client_address(client[0] if client else "", headers.forwarded_for, desk.trusted_proxies)
    raw = RawPostback(
        method=scope["method"],
        query=scope["query_string"],
        body=body,
        content_type=headers.content_type,
        signature=headers.signature,
        authorization=headers.authorization,
        address=address,
    )
    return raw, is_too_large


def _read_headers(scope: Scope) -> _Headers:
    found = _Headers()
    for name, value in scope["headers"]:
        if name == b"content-type":
            found.content_type = value.decode("latin-1")
        elif name == b"tributary-signature":
            # Two of them are joined, and so become one that does not verify.
            more = value.decode("latin-1")
            found.signature = f"{found.signature};{more}" if found.signature else more
        elif name == b"authorization":
            found.authorization = value.decode("latin-1")
        elif name == b"x-forwarded-for":
            more = value.decode("latin-1")
            found.forwarded_for = f"{found.forwarded_for},{more}" if found.forwarded_for else more
    return found


def _unauthenticated(outcome: Outcome) -> Problem:
    problem = outcome_problem(outcome)
    problem.headers["WWW-Authenticate"] = "Bearer"
    return problem


def _count(status: int) -> None:
    known = _by_status.get(status)
    if known is not None:
        known.inc()
