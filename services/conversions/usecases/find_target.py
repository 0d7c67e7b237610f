"""Which conversion a caller means by its id, or by `order:` and the merchant's own order id."""

from typing import Final
from uuid import UUID

from services.conversions.domain.conversion import Conversion
from services.conversions.storage.conversion_store import lock_by_ids, lock_by_order
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.personal_values import Screen
from shared.runtime.database import Session

ORDER_PREFIX: Final = "order:"


class ConversionNotFound(TributaryError):
    """No conversion that the caller may see is meant."""

    code = "conversion_not_found"


async def lock_target(
    session: Session, ref: str, *, event: str | None, merchant_id: int | None, screen: Screen
) -> Conversion:
    """The conversion meant by `ref`, locked. event: tells the conversions of one order apart.

    screen: gives what stands for an order id that looks personal; one recorded before that is found as it is.

    Raises ConversionNotFound; InvalidValue when several are meant.
    """
    if ref.startswith(ORDER_PREFIX):
        as_sent = ref.removeprefix(ORDER_PREFIX)
        order_ids = {as_sent, screen.text(as_sent)}
        found = await lock_by_order(session, order_ids, event=event, merchant_id=merchant_id)
    else:
        found = await lock_by_ids(session, [_read_id(ref)])
    found = [conversion for conversion in found if event is None or conversion.event == event]
    if not found:
        raise ConversionNotFound("no such conversion")
    if len(found) > 1:
        raise InvalidValue("event", "event_ambiguous", "the order has several: name the event, or use an id")
    return found[0]


def _read_id(ref: str) -> UUID:
    try:
        return UUID(ref)
    except ValueError:
        raise ConversionNotFound("no such conversion") from None
