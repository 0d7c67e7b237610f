"""Whether a thing exists, whoever's it is: what tells a foreign id from a wrong one, for the audit chain only."""

from typing import Final
from uuid import UUID

from sqlalchemy import text

from shared.runtime.database import Session

_TABLES: Final = {
    "conversion": "SELECT EXISTS (SELECT FROM conversion WHERE id = :id)",
    "receipt": "SELECT EXISTS (SELECT FROM receipt WHERE id = :id)",
    "postback_credential": "SELECT EXISTS (SELECT FROM postback_credential WHERE id = :id)",
}


async def exists(session: Session, object_type: str, object_id: str) -> bool:
    """Is there such a conversion, receipt or credential? Only as a role that sees every row."""
    statement = _TABLES.get(object_type)
    if statement is None or "-" not in object_id:
        return False
    return bool((await session.execute(text(statement), {"id": UUID(object_id)})).scalar_one())
