"""Makes commissions that a cap refused."""

from uuid import UUID, uuid4

from services.commissions.domain.commission import commission_id_of
from shared.contracts.catalogue import CapV1
from shared.runtime.database import Database
from tests.factories.commissions import conversion, euros, fresh_id, offer_version
from tests.factories.ledger import Desk


async def over_cap(worker: Database) -> tuple[int, UUID]:
    """A fresh offer and a commission on it that its cap has refused."""
    desk, offer_id, one = Desk(worker), fresh_id(), uuid4()
    cent = CapV1(name="cent", scope="offer", period="total", amount=euros(1))
    await desk.publish(offer_version(offer_id, caps=[cent]))
    await desk.convert(conversion(conversion_id=one, offer_id=offer_id, ordered=euros(10_000)))
    return offer_id, commission_id_of(one)
