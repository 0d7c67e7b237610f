"""Take a request to erase what is kept of a click or of a merchant's customer. The reference itself is not kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from services.conversions.storage.erasure_store import (
    ErasureRow,
    add_erased_clicks,
    add_erased_customer,
    find_erasure_by_reference,
    insert_erasure,
    put_stand_in,
)
from services.conversions.usecases.execute_erasures import tell_clicks
from shared.kernel.ids import new_id
from shared.kernel.personal_values import Screen
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class ErasureReference:
    """What is to be erased: a click (35 bytes and its spelling), or a merchant's customer (its stand-in).

    as_sent: the customer reference itself, by which conversions of an earlier version are recorded. Never kept.
    """

    reference_hash: str
    click_id: bytes | None = None
    merchant_id: int | None = None
    as_sent: str | None = field(default=None, repr=False)

    @classmethod
    def of_click(cls, screen: Screen, click_id: bytes, spelling: str) -> "ErasureReference":
        """A click."""
        return cls(screen.click(spelling), click_id=click_id)

    @classmethod
    def of_customer(cls, screen: Screen, *, merchant_id: int, customer_id: str) -> "ErasureReference":
        """A merchant's customer, by the merchant's own reference."""
        stand_in = screen.customer(merchant_id=merchant_id, reference=customer_id)
        return cls(stand_in, merchant_id=merchant_id, as_sent=customer_id)


async def request_erasure(
    session: Session, reference: ErasureReference, *, requested_by: str, now: datetime
) -> tuple[Mapping[str, Any], bool]:
    """Record the request, its tombstone, and for a click the word to clicks; gives it with True if it is new.

    Idempotent by the reference: asked again, the first request is what there is, since nothing came back meanwhile.
    """
    kind = "click" if reference.click_id is not None else "customer"
    erasure = ErasureRow(new_id(), kind, reference.reference_hash, reference.merchant_id, requested_by, now)
    is_new = await insert_erasure(session, erasure)
    if is_new and reference.click_id is not None:
        await add_erased_clicks(session, erasure.id, [reference.click_id], now)
        await tell_clicks(session, erasure.id, [reference.click_id], now)
    elif is_new and reference.merchant_id is not None and reference.as_sent is not None:
        await put_stand_in(
            session,
            merchant_id=reference.merchant_id,
            customer_id=reference.as_sent,
            stand_in=reference.reference_hash,
        )
        await add_erased_customer(
            session, merchant_id=reference.merchant_id, customer_id=reference.reference_hash, now=now
        )
    return await find_erasure_by_reference(session, reference.reference_hash), is_new
