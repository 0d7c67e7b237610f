"""End an API key at once."""

from dataclasses import replace
from datetime import datetime

from services.gateway.domain.api_keys import ApiKey
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.key_store import lock_key, store_key_end
from shared.kernel.changed import Changed
from shared.runtime.database import Session


async def revoke_key(session: Session, *, key_id: str, now: datetime) -> Changed[ApiKey]:
    """The key, revoked; as it was when revoked already. Raises NotInCatalogue."""
    key = await lock_key(session, key_id)
    if key is None:
        raise NotInCatalogue("key")
    revoked = replace(key, revoked_at=key.revoked_at or now)
    if revoked != key:
        await store_key_end(session, revoked)
    return Changed(key, revoked)
