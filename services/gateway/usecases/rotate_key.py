"""Replace an API key while the old one still opens for a while."""

from dataclasses import replace
from datetime import datetime

from services.gateway.domain.api_keys import ROTATION_OVERLAP, ApiKey
from services.gateway.domain.refusals import CatalogueConflict, NotInCatalogue
from services.gateway.storage.key_store import lock_key, store_key_end
from services.gateway.usecases.issue_key import issue_key
from shared.runtime.database import Session


async def rotate_key(session: Session, *, key_id: str, now: datetime) -> tuple[ApiKey, str, ApiKey]:
    """The new key, its full spelling, and the old key with its end. A key is rotated once.

    Raises NotInCatalogue, CatalogueConflict for a key that has ended or is about to.
    """
    old = await lock_key(session, key_id)
    if old is None:
        raise NotInCatalogue("key")
    if old.revoked_at is not None or old.expires_at is not None:
        raise CatalogueConflict("key_not_current", "this key was rotated or revoked already")
    new, spelling = await issue_key(
        session,
        role=old.role,
        merchant_id=old.merchant_id,
        affiliate_id=old.affiliate_id,
        label=old.label,
        now=now,
        replaces_key_id=old.key_id,
    )
    old = replace(old, expires_at=now + ROTATION_OVERLAP)
    await store_key_end(session, old)
    return new, spelling, old
