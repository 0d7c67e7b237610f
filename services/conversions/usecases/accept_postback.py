"""Record a group of postbacks, each once; every one of them leaves a receipt in the same transaction.

Idempotent by (merchant, event, order id), else (merchant, event, click ID); adjustments by (merchant, order id,
adjustment id). Within a group the order of arrival decides.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from uuid import UUID

from services.conversions.domain.attribution import attribute
from services.conversions.domain.conversion import (
    Change,
    ClickDetails,
    Conversion,
    next_version,
    with_click,
    with_verdict,
)
from services.conversions.domain.outcomes import Outcome
from services.conversions.domain.transitions import Status
from services.conversions.storage.click_detail_store import find_click_details
from services.conversions.storage.conversion_store import ConversionKey, lock_by_keys, steps_json
from services.conversions.storage.first_versions import FirstVersion, insert_first_versions
from services.conversions.storage.receipt_store import (
    AcceptedContent,
    Receipt,
    find_accepted_contents,
    insert_accepted_content,
    insert_receipts,
)
from services.conversions.usecases.accept_adjustment import accept_adjustments
from services.conversions.usecases.answer import Answer, refusal_answer
from services.conversions.usecases.count_versions import count_versions
from services.conversions.usecases.judge_postback import Submission, amount_required
from services.conversions.usecases.older_spelling import as_recorded
from services.conversions.usecases.record_changes import outgoing_event, record_changes
from services.conversions.usecases.settle_customers import Candidate, OwnershipOutrun, settle_customers
from services.conversions.usecases.tell_changes import trace_first_versions
from shared.kernel.ids import new_id
from shared.runtime.database import Session

Firsts = dict[ConversionKey, tuple[Submission, Conversion]]
"""The first of each key with the state it begins in, in the order of arrival."""

Contents = dict[tuple[UUID, bytes], AcceptedContent]
"""Later contents that were taken, by conversion and hash."""


async def accept_postbacks(session: Session, submissions: Sequence[Submission]) -> list[Answer]:
    """Record what arrived together, and give each its answer, in the order of `submissions`.

    Runs inside the caller's transaction; nothing may be answered before it commits (I1).
    """
    submissions = await as_recorded(session, submissions)
    answers: dict[UUID, Answer] = {}
    conversions: list[Submission] = []
    adjustments: list[Submission] = []
    settled: list[Submission] = []
    doubtful: list[Submission] = []
    for submission in submissions:
        receipt_id = submission.arrival.receipt_id
        if submission.refusal is not None:
            answers[receipt_id] = refusal_answer(submission, submission.refusal)
            settled.append(submission)
            if _may_repeat(submission):
                doubtful.append(submission)
        elif submission.is_test:
            status = None if submission.verdict is None else submission.verdict.status.value
            answers[receipt_id] = Answer(receipt_id, Outcome.TEST, Outcome.TEST.http_status, status=status)
            settled.append(submission)
        elif submission.postback is not None and submission.postback.is_adjustment:
            adjustments.append(submission)
        else:
            conversions.append(submission)
    if conversions:
        answers |= await _accept_conversions(session, conversions)
    if adjustments:
        answers |= await accept_adjustments(session, adjustments)
    if doubtful:
        answers |= await _answer_again_where_taken(session, doubtful)
    others = [*settled, *adjustments]
    if others:
        await insert_receipts(session, [receipt_of(s, answers[s.arrival.receipt_id]) for s in others])
    return [answers[submission.arrival.receipt_id] for submission in submissions]


def _may_repeat(submission: Submission) -> bool:
    """True for a refusal of what may have been taken once: while its offer version was missing, or its key good."""
    postback = submission.postback
    has_key = postback is not None and (postback.order_id is not None or submission.claim is not None)
    return has_key and postback is not None and not postback.is_adjustment


async def _answer_again_where_taken(session: Session, refused: Sequence[Submission]) -> dict[UUID, Answer]:
    """The first answers to those that were taken before with this very content."""
    known = await lock_by_keys(session, {_key(submission) for submission in refused})
    contents = await _contents_of(session, known.values())
    answers = {}
    for submission in refused:
        conversion = known.get(_key(submission))
        again = None if conversion is None else _answer_again(submission, conversion, contents)
        if again is not None:
            answers[submission.arrival.receipt_id] = again
    return answers


async def _accept_conversions(session: Session, submissions: Sequence[Submission]) -> dict[UUID, Answer]:
    """Insert the first of each key; the rest, in the group or in the table, repeats it."""
    click_ids = {s.claim.click_id for s in submissions if s.claim is not None}
    details = await find_click_details(session, click_ids)
    firsts: Firsts = {}
    for submission in submissions:
        key = _key(submission)
        if key not in firsts:
            firsts[key] = (submission, _first_state(submission, details))
    firsts, claimed = await _settle(session, firsts)
    versions = [_first_version(s, c) for s, c in firsts.values()]
    created = await insert_first_versions(session, versions)
    if not claimed <= created:
        raise OwnershipOutrun
    made = zip((s for s, _ in firsts.values()), versions, strict=True)
    trace_first_versions(session, ((s, version) for s, version in made if version.conversion.id in created))
    answers = {s.arrival.receipt_id: _taken(s, c) for s, c in firsts.values() if c.id in created}
    new = [conversion for _, conversion in firsts.values() if conversion.id in created]
    count_versions(session, new, decided=new)
    repeats = [s for s in submissions if s.arrival.receipt_id not in answers]
    if repeats:
        again = await _accept_repeats(session, repeats)
        await insert_receipts(session, [receipt_of(s, again[s.arrival.receipt_id]) for s in repeats])
        answers |= again
    return answers


async def _settle(session: Session, firsts: Firsts) -> tuple[Firsts, set[UUID]]:
    """`firsts` as their customers' owners decide; and the conversions that made an affiliate one."""
    candidates = [
        Candidate(
            conversion,
            submission.verdict,
            None if submission.claim is None else submission.claim.click,
            None if submission.claim is None else submission.claim.version,
            is_new=True,
        )
        for submission, conversion in firsts.values()
        if submission.verdict is not None
    ]
    settled, claimed = await settle_customers(session, candidates)
    decided = {
        key: (replace(submission, verdict=candidate.verdict), _as_first(candidate.conversion))
        for (key, (submission, _)), candidate in zip(firsts.items(), settled, strict=True)
    }
    return decided, claimed


def _as_first(conversion: Conversion) -> Conversion:
    return replace(conversion, first_outcome=conversion.outcome, first_status=conversion.status)


def _first_state(submission: Submission, details: dict[bytes, ClickDetails]) -> Conversion:
    arrival, postback, verdict, claim = submission.arrival, submission.postback, submission.verdict, submission.claim
    assert postback is not None
    assert verdict is not None
    clickless_hash = postback.content_hash(with_click_id=False)
    return Conversion(
        id=new_id(),
        merchant_id=arrival.merchant_id,
        event=postback.event_or_default,
        dedupe_key=dedupe_key(submission),
        version=1,
        status=verdict.status,
        outcome=verdict.outcome,
        first_received_at=arrival.received_at,
        first_receipt_id=arrival.receipt_id,
        first_outcome=verdict.outcome,
        first_status=verdict.status,
        content_hash=clickless_hash if claim is None else postback.content_hash(),
        clickless_hash=clickless_hash,
        changed_at=arrival.received_at,
        is_batch=arrival.is_batch,
        order_id=postback.order_id,
        click_id=None if claim is None else claim.click_id,
        clicked_at=None if claim is None else claim.click.clicked_at,
        click_flags=0 if claim is None else int(claim.click.flags),
        offer_id=None if claim is None else claim.click.offer_id,
        offer_version=None if claim is None else claim.click.offer_version,
        affiliate_id=None if claim is None else claim.click.affiliate_id,
        attributed_by=verdict.attributed_by,
        order_amount=postback.amount,
        net_amount=postback.amount,
        ordered_at=postback.ordered_at,
        approve_at=verdict.approve_at,
        coupon=postback.coupon,
        customer_id=postback.customer_id,
        customer_status=postback.customer_status,
        items=postback.items,
        merchant_subs=postback.subs or {},
        details=None if claim is None else details.get(claim.click_id),
        facts=postback.facts,
    )


def _first_version(submission: Submission, conversion: Conversion) -> FirstVersion:
    arrival, postback, verdict = submission.arrival, submission.postback, submission.verdict
    assert postback is not None
    assert verdict is not None
    spelling = None if submission.claim is None else submission.claim.spelling
    kept_spelling = None if conversion.click_id is None else spelling
    return FirstVersion(
        conversion=conversion,
        steps=steps_json(verdict.steps),
        actor_kind=arrival.actor.kind,
        actor_key=arrival.actor.key,
        event=outgoing_event(Change(conversion, "recorded", arrival.actor), spelling=kept_spelling),
        transport=arrival.transport,
        request_id=arrival.request_id,
        reported_event=postback.event,
        spelt_click_id=spelling,
    )


def dedupe_key(submission: Submission) -> str:
    """What makes the conversion one among its merchant's of that event: the order, else the click."""
    postback = submission.postback
    assert postback is not None
    if postback.order_id is not None:
        return f"o:{postback.order_id}"
    assert submission.claim is not None
    return f"c:{submission.claim.spelling}"


def _taken(submission: Submission, conversion: Conversion) -> Answer:
    outcome = conversion.outcome
    receipt_id = submission.arrival.receipt_id
    return Answer(receipt_id, outcome, outcome.http_status, conversion.id, conversion.status.value)


async def _accept_repeats(session: Session, submissions: Sequence[Submission]) -> dict[UUID, Answer]:
    """Answer what names a conversion that exists: again, with a click ID more, or in conflict."""
    keys = {_key(submission): submission for submission in submissions}
    known = await lock_by_keys(session, set(keys))
    contents = await _contents_of(session, known.values())
    answers: dict[UUID, Answer] = {}
    for submission in submissions:
        key = _key(submission)
        answer, after = await _answer_repeat(session, submission, known[key], contents)
        known[key] = after
        answers[submission.arrival.receipt_id] = answer
    return answers


def _key(submission: Submission) -> ConversionKey:
    assert submission.postback is not None
    return submission.arrival.merchant_id, submission.postback.event_or_default, dedupe_key(submission)


async def _contents_of(session: Session, conversions: Iterable[Conversion]) -> Contents:
    found = await find_accepted_contents(session, [conversion.id for conversion in conversions])
    return {(content.conversion_id, content.content_hash): content for content in found}


def _answer_again(submission: Submission, conversion: Conversion, contents: Contents) -> Answer | None:
    """The answer this very content got when it was taken; None for other content."""
    assert submission.postback is not None
    with_facts = conversion.facts is not None
    if submission.postback.is_content_of(conversion.content_hash, with_facts=with_facts):
        receipt_id, outcome, status = conversion.first_receipt_id, conversion.first_outcome, conversion.first_status
        return Answer(receipt_id, outcome, 200, conversion.id, status.value, duplicate=True)
    of_conversion = (content for (conversion_id, _), content in contents.items() if conversion_id == conversion.id)
    is_of = partial(submission.postback.is_content_of, with_facts=with_facts)
    accepted = next((content for content in of_conversion if is_of(content.content_hash)), None)
    if accepted is None:
        return None
    return Answer(accepted.receipt_id, accepted.outcome, 200, conversion.id, accepted.status, duplicate=True)


async def _answer_repeat(
    session: Session, submission: Submission, conversion: Conversion, contents: Contents
) -> tuple[Answer, Conversion]:
    again = _answer_again(submission, conversion, contents)
    if again is not None:
        return again, conversion
    if not _adds_only_a_click(submission, conversion):
        outcome = Outcome.CONFLICT
        return Answer(submission.arrival.receipt_id, outcome, outcome.http_status, conversion.id), conversion
    return await _add_click(session, submission, conversion, contents)


def _adds_only_a_click(submission: Submission, conversion: Conversion) -> bool:
    postback, claim = submission.postback, submission.claim
    return (
        postback is not None
        and claim is not None
        and conversion.status is Status.UNATTRIBUTED
        and conversion.click_id is None
        and postback.is_content_of(
            conversion.clickless_hash, with_click_id=False, with_facts=conversion.facts is not None
        )
        and claim.click.clicked_at <= conversion.first_received_at
    )


async def _add_click(
    session: Session,
    submission: Submission,
    conversion: Conversion,
    contents: Contents,
) -> tuple[Answer, Conversion]:
    """A click ID more for an unattributed conversion: judged as of the first receipt, it makes the next version."""
    claim, arrival, postback = submission.claim, submission.arrival, submission.postback
    assert claim is not None
    assert postback is not None
    verdict = attribute(conversion.reported, claim.click, claim.version)
    if verdict.outcome is Outcome.AMOUNT_MISSING:
        return refusal_answer(submission, amount_required()), conversion
    details = await find_click_details(session, [claim.click_id])
    after = with_verdict(
        with_click(next_version(conversion, arrival.received_at), claim.click_id, claim.click), verdict
    )
    after = replace(after, details=details.get(claim.click_id))
    (settled,), _ = await settle_customers(session, [Candidate(after, verdict, claim.click, claim.version)])
    after, verdict = settled.conversion, settled.verdict
    await record_changes(session, [Change(after, "attributed", arrival.actor, "click_id_added", steps=verdict.steps)])
    content = AcceptedContent(
        conversion.id,
        postback.content_hash(with_facts=conversion.facts is not None),
        conversion.merchant_id,
        arrival.receipt_id,
        after.outcome,
        after.status.value,
    )
    await insert_accepted_content(session, content)
    contents[content.conversion_id, content.content_hash] = content
    return _taken(submission, after), after


def receipt_of(submission: Submission, answer: Answer) -> Receipt:
    arrival, postback = submission.arrival, submission.postback
    return Receipt(
        id=arrival.receipt_id,
        merchant_id=arrival.merchant_id,
        received_at=arrival.received_at,
        transport=arrival.transport,
        credential_id=arrival.actor.key,
        request_id=arrival.request_id,
        outcome=Outcome.DUPLICATE if answer.duplicate else answer.outcome,
        http_status=answer.http_status,
        conversion_id=answer.conversion_id,
        status=answer.status,
        duplicate=answer.duplicate,
        repeats_receipt_id=answer.receipt_id if answer.duplicate else None,
        event=None if postback is None else postback.event,
        order_id=None if postback is None else postback.order_id,
        adjustment_id=None if postback is None else postback.adjustment_id,
        click_id=None if submission.claim is None else submission.claim.spelling,
        errors=[{"field": f.field, "code": f.code, "message": f.message} for f in answer.faults],
    )
