"""Every version of a conversion leaves here: its row, its line on the trail and its event, together."""

from collections.abc import Sequence

from services.conversions.domain.conversion import Change, Conversion
from services.conversions.domain.facts import NO_FACTS, Item
from services.conversions.storage.conversion_store import insert_versions, update_conversions
from services.conversions.usecases.count_versions import count_versions
from services.conversions.usecases.tell_changes import tell_changes
from shared.contracts.catalogue import MoneyV1
from shared.contracts.conversions import ConversionChangedV1, LineItemV1
from shared.contracts.events import encode_event
from shared.contracts.topics import CONVERSIONS
from shared.kernel.click_id import spell_click_id
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.runtime.database import Session
from shared.runtime.outbox import OutgoingEvent, append


async def record_changes(session: Session, changes: Sequence[Change]) -> None:
    """Record the next versions of conversions that the caller has locked. Several of one conversion: in order."""
    if changes:
        events = [conversion_changed(change) for change in changes]
        await update_conversions(session, changes)
        await insert_versions(session, changes)
        await append(session, [_outgoing(change, event) for change, event in zip(changes, events, strict=True)])
        states = [change.after for change in changes]
        count_versions(session, states, decided=[c.after for c in changes if c.change == "attributed"])
        tell_changes(session, events)


def outgoing_event(change: Change, *, spelling: str | None = None) -> OutgoingEvent:
    """The event that tells of a change, with the whole state after it. spelling: of its click ID, if at hand."""
    return _outgoing(change, conversion_changed(change, spelling))


def _outgoing(change: Change, event: ConversionChangedV1) -> OutgoingEvent:
    return OutgoingEvent(CONVERSIONS, str(change.after.id).encode("ascii"), event.event_id, encode_event(event))


def conversion_changed(change: Change, spelling: str | None = None) -> ConversionChangedV1:
    """`change` in the words of conversions.v1."""
    state, details = change.after, change.after.details
    facts = state.facts or NO_FACTS
    return ConversionChangedV1(
        event_id=new_id(),
        occurred_at=state.changed_at,
        conversion_id=str(state.id),
        version=state.version,
        change=change.change,
        status=state.status.value,
        merchant_id=state.merchant_id,
        conversion_event=state.event,
        first_received_at=state.first_received_at,
        order_id=state.order_id,
        offer_id=state.offer_id,
        offer_version=state.offer_version,
        affiliate_id=state.affiliate_id,
        click_id=spelling or spelt_click_id(state),
        clicked_at=state.clicked_at,
        attributed_by=state.attributed_by,
        order_amount=_money(state.order_amount),
        net_amount=_money(state.net_amount),
        ordered_at=state.ordered_at,
        outcome_code=int(state.outcome),
        reason_code=change.reason_code,
        adjustment_id=change.adjustment_id,
        subs={} if details is None else dict(details.subs),
        aff_click_id=None if details is None else details.aff_click_id,
        source=None if details is None else details.source,
        creative=None if details is None else details.creative,
        coupon=state.coupon,
        customer_status=facts.customer_status,
        country=facts.country,
        items=[_line_item(item) for item in facts.items],
        tax=_money(facts.tax),
        shipping=_money(facts.shipping),
        discount=_money(facts.discount),
        customer_first_at=state.customer_first_at,
        quantity=facts.quantity,
    )


def _line_item(item: Item) -> LineItemV1:
    return LineItemV1(sku=item.sku, category=item.category, quantity=item.quantity, amount=_money(item.amount))


def spelt_click_id(state: Conversion) -> str | None:
    """The click ID as people see it."""
    return None if state.click_id is None else spell_click_id(state.click_id)


def _money(money: Money | None) -> MoneyV1 | None:
    return None if money is None else MoneyV1(amount_minor=money.amount_minor, currency=money.currency)
