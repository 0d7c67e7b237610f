"""The first admin key, from a file, while there is no other."""

from datetime import datetime

from services.gateway.domain.api_keys import key_role_of
from services.gateway.storage.key_store import insert_key, lock_bootstrap
from services.gateway.usecases.audited import key_issued_act
from services.gateway.usecases.issue_key import new_key
from shared.runtime.audit import Author, record_act
from shared.runtime.database import Session


async def bootstrap_admin_key(session: Session, *, spelling: str, now: datetime) -> bool:
    """Store the key if no admin key was ever issued; True when it was stored. Raises ValueError for no admin key."""
    if key_role_of(spelling) != "admin":
        raise ValueError("BOOTSTRAP_ADMIN_KEY_FILE holds no admin key (trb_admin_<8>_<32>, of a-z and 2-7)")
    if await lock_bootstrap(session):
        return False
    key = new_key(spelling, role="admin", merchant_id=None, affiliate_id=None, label="bootstrap", now=now)
    if not await insert_key(session, key):
        return False
    await record_act(session, Author.operator("BOOTSTRAP_ADMIN_KEY_FILE"), key_issued_act(key), now=now)
    return True
