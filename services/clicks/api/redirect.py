"""The redirect, `GET|HEAD /c/{offer_id}/{affiliate_id}`: plain ASGI, a framework would cost more than all the rest."""

import time
from typing import Final, NamedTuple

import orjson
from starlette.types import Message, Receive, Scope, Send

from services.clicks.api.client_address import ClientAddresses
from services.clicks.clients.click_recorder import ClickRecorder, Recorded
from services.clicks.domain.catalogue import OfferPlan
from services.clicks.domain.link_query import read_link_query
from services.clicks.domain.visitor import is_visitor_token
from services.clicks.usecases.answer_click import AnsweredClick, ClickDesk, Visit
from shared.kernel.ids import ID_MAX
from shared.kernel.trace import door_span_id_of_click, trace_id_of_click, trace_of_click
from shared.runtime.failpoint import failpoint
from shared.runtime.http_observer import new_request_id
from shared.runtime.metrics import counter, histogram
from shared.runtime.problem import Headers, method_not_allowed, not_found, send_problem
from shared.runtime.told_trace import told_header
from shared.runtime.tracing import SPAN_HEADER, keeps, sends_spans, span, tell

REDIRECT_PREFIX: Final = "/c/"
VISITOR_COOKIE: Final = "trb_visitor"
VISITOR_COOKIE_SECONDS: Final = 365 * 86_400

_ID_DIGITS_MAX: Final = 10
_EMPTY: Final[Message] = {"type": "http.response.body", "body": b""}
_NO_STORE: Final = (b"cache-control", b"no-store")
_NO_INDEX: Final = (b"x-robots-tag", b"noindex")
_NO_LENGTH: Final = (b"content-length", b"0")
_PREFETCHED: Final[Message] = {
    "type": "http.response.start",
    "status": 503,
    "headers": [_NO_STORE, _NO_INDEX, _NO_LENGTH],
}
_SPECULATIVE: Final = (b"prefetch", b"prerender", b"preview")

_ANSWERS = counter("redirects", unit="requests", meaning="Requests for a referral link, by answer", labels=("answer",))
_REDIRECTED = _ANSWERS.labels("redirected")
_JSON = _ANSWERS.labels("json")
_PREVIEWED = _ANSWERS.labels("head")
_SPECULATED = _ANSWERS.labels("prefetch")
_REFUSED = _ANSWERS.labels("refused")
_FAILED = _ANSWERS.labels("failed")
_SECONDS = histogram("redirect", unit="seconds", meaning="From the request to the answer, the click made durable")


class _Headers(NamedTuple):
    user_agent: str
    referrer: str
    cookie: str
    forwarded_for: str
    is_speculative: bool
    opts_out: bool


class RedirectDoor:
    """The ASGI application for every path under `/c/`. Touches no database to decide.

    cookie_is_secure: the links are https, so the visitor cookie is too.
    """

    def __init__(
        self, desk: ClickDesk, recorder: ClickRecorder, addresses: ClientAddresses, *, cookie_is_secure: bool
    ) -> None:
        self._desk = desk
        self._recorder = recorder
        self._addresses = addresses
        ending = "; HttpOnly; SameSite=Lax" + ("; Secure" if cookie_is_secure else "")
        self._cookie_attributes = f"; Path=/; Max-Age={VISITOR_COOKIE_SECONDS}{ending}"
        self._cookie_end = f"; Path=/; Max-Age=0{ending}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request: 302, or 200 for `format=json`, only when the click is durable (I1)."""
        try:
            await self._answer(scope, send)
        except Exception:
            _FAILED.inc()
            raise

    async def _answer(self, scope: Scope, send: Send) -> None:
        method = scope["method"]
        if method not in ("GET", "HEAD"):
            _REFUSED.inc()
            await send_problem(send, method_not_allowed(["GET", "HEAD"]), new_request_id())
            return
        ids = _read_ids(scope["path"])
        plan = self._desk.catalogue.find_plan(ids[0]) if ids is not None else None
        if ids is None or plan is None:
            _REFUSED.inc()
            await send_problem(send, not_found("link_not_found", "There is no such link."), new_request_id())
            return
        started = time.perf_counter()
        headers = _read_headers(scope)
        if headers.is_speculative:
            _SPECULATED.inc()
            await send(_PREFETCHED)
            await send(_EMPTY)
            return
        visit = self._visit(scope, ids[1], headers)
        if method == "HEAD":
            _PREVIEWED.inc()
            await _redirect(send, plan, self._desk.preview(plan, visit))
            return
        click = self._desk.answer(plan, visit)
        recorded = await self._recorder.record(click.event)
        told = _tell(scope, plan, click, recorded, started)
        if visit.query.wants_json:
            _JSON.inc()
            await self._send_json(send, click, [*self._cookie(click, visit, headers), *told])
        else:
            _REDIRECTED.inc()
            await _redirect(send, plan, click.location, [*self._cookie(click, visit, headers), *told])
        _SECONDS.observe(time.perf_counter() - started)
        failpoint("click.after_302")

    def _visit(self, scope: Scope, affiliate_id: int, headers: _Headers) -> Visit:
        query = read_link_query(scope["query_string"])
        if headers.opts_out and query.consent is None:  # the link speaks of this shopper, the browser of every site
            query.consent = False
        client = scope.get("client")
        return Visit(
            affiliate_id=affiliate_id,
            query=query,
            user_agent=headers.user_agent,
            referrer=headers.referrer,
            client_address=self._addresses.find(client[0] if client else "", headers.forwarded_for),
            visitor_token=_visitor_token(headers.cookie) if query.consent is True else None,
        )

    def _cookie(self, click: AnsweredClick, visit: Visit, headers: _Headers) -> Headers:
        """A new visitor's cookie, or the end of one whose consent was withdrawn."""
        if click.new_visitor_token is not None:
            cookie = f"{VISITOR_COOKIE}={click.new_visitor_token}{self._cookie_attributes}"
            return [(b"set-cookie", cookie.encode("ascii"))]
        if visit.query.consent is False and VISITOR_COOKIE in headers.cookie:
            return [(b"set-cookie", f"{VISITOR_COOKIE}={self._cookie_end}".encode("ascii"))]
        return []

    async def _send_json(self, send: Send, click: AnsweredClick, more: Headers) -> None:
        body = orjson.dumps({"click_id": click.click_id, "landing_url": click.location})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode("ascii")),
            _NO_STORE,
            _NO_INDEX,
            *more,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _tell(scope: Scope, plan: OfferPlan, click: AnsweredClick, recorded: Recorded, started: float) -> Headers:
    """Log the click if its trace is kept, and give the header that tells the gateway to."""
    trace_id = trace_id_of_click(click.click_id)
    if not keeps(trace_id):
        return []
    tell(
        "click_answered",
        trace_id=trace_id,
        event_id=str(click.event.event_id),
        offer_id=plan.offer.offer_id,
        recorded=recorded.value,
    )
    return [_make_span(scope, plan, click, started) if sends_spans() else told_header(trace_id)]


def _make_span(scope: Scope, plan: OfferPlan, click: AnsweredClick, started: float) -> tuple[bytes, bytes]:
    """The click's own span, which the postback will hang on; under the gateway's request where that makes one."""
    trace, door_id = trace_of_click(click.click_id), door_span_id_of_click(click.click_id)
    has_door = any(name == SPAN_HEADER for name, _ in scope["headers"])
    span(
        "redirect",
        trace_id=trace.trace_id,
        span_id=trace.span_id,
        parent_id=door_id if has_door else None,
        seconds=time.perf_counter() - started,
        kind="server",
        attributes={"tributary.offer_id": plan.offer.offer_id, "tributary.event_id": str(click.event.event_id)},
    )
    return told_header(trace.trace_id, span_id=door_id)


async def _redirect(send: Send, plan: OfferPlan, location: str, more: Headers | None = None) -> None:
    headers = [
        (b"location", location.encode("ascii")),
        _NO_STORE,
        (b"referrer-policy", plan.version.referrer_policy),
        _NO_INDEX,
        _NO_LENGTH,
        *(more or ()),
    ]
    await send({"type": "http.response.start", "status": 302, "headers": headers})
    await send(_EMPTY)


def _read_ids(path: str) -> tuple[int, int] | None:
    offer, _, affiliate = path[len(REDIRECT_PREFIX) :].partition("/")
    offer_id, affiliate_id = _read_id(offer), _read_id(affiliate)
    return (offer_id, affiliate_id) if offer_id and affiliate_id else None


def _read_id(text: str) -> int:
    """The id spelt by `text`, 0 for anything but the one plain spelling."""
    if not (text.isdigit() and text.isascii() and len(text) <= _ID_DIGITS_MAX and text[0] != "0"):
        return 0
    number = int(text)
    return number if number <= ID_MAX else 0


def _read_headers(scope: Scope) -> _Headers:
    user_agent = referrer = cookie = forwarded_for = ""
    is_speculative = opts_out = False
    for name, value in scope["headers"]:
        if name == b"user-agent":
            user_agent = value.decode("latin-1").strip()
        elif name == b"referer":
            referrer = value.decode("latin-1")
        elif name == b"cookie":
            cookie += f"; {value.decode('latin-1')}"
        elif name == b"x-forwarded-for":
            forwarded_for += f",{value.decode('latin-1')}"
        elif name in (b"sec-gpc", b"dnt"):
            opts_out = opts_out or value.strip() == b"1"
        elif name in (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz"):
            lowered = value.lower()
            is_speculative = is_speculative or any(word in lowered for word in _SPECULATIVE)
    return _Headers(user_agent, referrer, cookie, forwarded_for, is_speculative, opts_out)


def _visitor_token(cookies: str) -> str | None:
    for cookie in cookies.split(";"):
        name, _, value = cookie.strip().partition("=")
        if name == VISITOR_COOKIE and is_visitor_token(value):
            return value
    return None
