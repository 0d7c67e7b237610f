"""What can be said of a postback before the database is asked: its fields, its click ID, whose offer, the verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from services.conversions.domain.attribution import Reported, Verdict, attribute
from services.conversions.domain.catalogue import Catalogue, OfferVersion
from services.conversions.domain.conversion import Actor
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.postback import Postback, parse_postback, screen_postback
from shared.kernel.click_id import Click, ClickFlags, ClickIdInvalid, read_click_id, verify_click_id
from shared.kernel.errors import InvalidValue
from shared.kernel.personal_values import Screen
from shared.kernel.trace import ClickTrace, span_id_of, trace_of_click

_CLICK_ID_OUTCOMES: Final = {
    "click_id_malformed": Outcome.CLICK_ID_MALFORMED,
    "click_id_forged": Outcome.CLICK_ID_FORGED,
    "click_id_unknown_key": Outcome.CLICK_ID_UNKNOWN_KEY,
}


@dataclass(frozen=True, slots=True)
class Arrival:
    """How an authenticated postback came in. transport: query, form, json, api, api_batch."""

    receipt_id: UUID
    merchant_id: int
    received_at: datetime
    transport: str
    actor: Actor
    request_id: str

    @property
    def is_batch(self) -> bool:
        """True for one of several in one request."""
        return self.transport == "api_batch"


@dataclass(frozen=True, slots=True)
class FieldFault:
    """One field and what is wrong with it; echoes no input."""

    field: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a postback is not taken."""

    outcome: Outcome
    faults: Sequence[FieldFault] = ()


@dataclass(frozen=True, slots=True)
class ClickClaim:
    """A verified click ID, what it says, and its offer version if that has arrived. spelling: the canonical one."""

    click_id: bytes
    spelling: str
    click: Click
    version: OfferVersion | None
    trace: ClickTrace


@dataclass(frozen=True, slots=True)
class Submission:
    """A postback on its way into a group: refused already, or with the verdict it gets if it is the first."""

    arrival: Arrival
    postback: Postback | None = None
    claim: ClickClaim | None = None
    verdict: Verdict | None = None
    refusal: Refusal | None = None

    @property
    def is_test(self) -> bool:
        """A test by the merchant's word, or by the click's own mark."""
        by_click = self.claim is not None and bool(self.claim.click.flags & ClickFlags.TEST)
        return by_click or (self.postback is not None and self.postback.is_test)

    @property
    def trace_id(self) -> str:
        """The trace of its click; without one it is a trace of its own, under its request's id."""
        return self.arrival.request_id if self.claim is None else self.claim.trace.trace_id

    @property
    def span_id(self) -> str:
        """The span of the postback, which what it changes hangs on."""
        return span_id_of(self.arrival.receipt_id)

    @property
    def door_span_id(self) -> str:
        """The span of the gateway's request around it."""
        return self.arrival.request_id[16:]


def refused(arrival: Arrival, outcome: Outcome, fault: FieldFault | None = None) -> Submission:
    """A submission that only leaves a receipt."""
    return Submission(arrival, refusal=Refusal(outcome, () if fault is None else (fault,)))


def judge_postback(
    fields: Mapping[str, Any],
    arrival: Arrival,
    *,
    catalogue: Catalogue,
    click_secrets: Mapping[int, bytes],
    screen: Screen,
) -> Submission:
    """Parse, screen, verify the click ID by its key alone (I6), and attribute by what the click carries."""
    try:
        postback = screen_postback(parse_postback(fields, arrival.merchant_id), screen)
    except InvalidValue as fault:
        return refused(arrival, Outcome.MALFORMED, FieldFault(fault.field, fault.code, fault.message))
    try:
        claim = _verify(postback, catalogue, click_secrets)
    except ClickIdInvalid as fault:
        refusal = Refusal(_CLICK_ID_OUTCOMES[fault.code], (FieldFault("click_id", fault.code, fault.message),))
        return Submission(arrival, postback, refusal=refusal)
    if claim is not None and _is_foreign(claim, postback, catalogue):
        return Submission(arrival, postback, claim, refusal=Refusal(Outcome.FOREIGN_OFFER))
    if postback.is_adjustment:
        return Submission(arrival, postback, claim)
    verdict = attribute(_reported(postback, arrival), *_click_and_version(claim))
    if verdict.outcome is Outcome.AMOUNT_MISSING:
        return Submission(arrival, postback, claim, refusal=amount_required())
    return Submission(arrival, postback, claim, verdict)


def amount_required() -> Refusal:
    """The terms are a percentage, and there is nothing to take it of."""
    fault = FieldFault("amount", "amount_required", "is required: the offer pays a percentage of it")
    return Refusal(Outcome.MALFORMED, (fault,))


def _verify(postback: Postback, catalogue: Catalogue, click_secrets: Mapping[int, bytes]) -> ClickClaim | None:
    if postback.click_id is None:
        return None
    click_id = read_click_id(postback.click_id)
    click = verify_click_id(click_id, click_secrets)
    spelling = postback.click_id.lower()
    version = catalogue.find_version(click.offer_id, click.offer_version)
    return ClickClaim(click_id, spelling, click, version, trace_of_click(spelling))


def _is_foreign(claim: ClickClaim, postback: Postback, catalogue: Catalogue) -> bool:
    merchant_id = catalogue.merchant_of(claim.click.offer_id)
    return merchant_id is not None and merchant_id != postback.merchant_id


def _click_and_version(claim: ClickClaim | None) -> tuple[Click | None, OfferVersion | None]:
    return (None, None) if claim is None else (claim.click, claim.version)


def _reported(postback: Postback, arrival: Arrival) -> Reported:
    return Reported(
        merchant_id=postback.merchant_id,
        event=postback.event_or_default,
        has_amount=postback.amount is not None,
        has_coupon=postback.coupon is not None,
        has_customer=postback.customer_id is not None,
        first_received_at=arrival.received_at,
        ordered_at=postback.ordered_at,
        is_batch=arrival.is_batch,
    )
