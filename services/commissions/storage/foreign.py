"""Whether an object exists, whoever's it is: what tells a foreign id from a wrong one, for the audit chain only."""

from uuid import UUID

from services.commissions.storage.commission_reader import find_stored
from services.commissions.storage.issued_store import find_issued
from shared.runtime.database import Session


async def exists(session: Session, object_type: str, object_id: str) -> bool:
    """Is there such an object? Only as a role that sees every row."""
    if object_type == "statement":
        return await find_issued(session, object_id) is not None
    if object_type != "commission" or "-" not in object_id:
        return False
    return await find_stored(session, UUID(object_id)) is not None
