"""Issue an API key."""

import secrets
from datetime import datetime

from services.gateway.domain.api_keys import KEY_ENTROPY_BYTES, ApiKey, KeyRole, key_hash, key_id_of, spell_key
from services.gateway.domain.refusals import CatalogueConflict
from services.gateway.storage.key_store import insert_key
from services.gateway.storage.party_store import find_affiliate, find_merchant
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def issue_key(
    session: Session,
    *,
    role: KeyRole,
    merchant_id: int | None,
    affiliate_id: int | None,
    label: str,
    now: datetime,
    replaces_key_id: str | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its full spelling, which is kept nowhere. Raises InvalidValue when role and tenant do not fit."""
    _check_tenant("merchant_id", merchant_id, is_needed=role == "merchant")
    _check_tenant("affiliate_id", affiliate_id, is_needed=role == "affiliate")
    if merchant_id is not None and await find_merchant(session, merchant_id) is None:
        raise InvalidValue("merchant_id", "merchant_unknown", "names no merchant")
    if affiliate_id is not None and await find_affiliate(session, affiliate_id) is None:
        raise InvalidValue("affiliate_id", "affiliate_unknown", "names no affiliate")
    spelling = spell_key(role, secrets.token_bytes(KEY_ENTROPY_BYTES))
    key = new_key(
        spelling,
        role=role,
        merchant_id=merchant_id,
        affiliate_id=affiliate_id,
        label=label,
        now=now,
        replaces_key_id=replaces_key_id,
    )
    if not await insert_key(session, key):
        raise CatalogueConflict("key_id_taken", "the drawn key id exists; send the request again")
    return key, spelling


def new_key(
    spelling: str,
    *,
    role: KeyRole,
    merchant_id: int | None,
    affiliate_id: int | None,
    label: str,
    now: datetime,
    replaces_key_id: str | None = None,
) -> ApiKey:
    """What is stored of a full key. Raises ValueError for text that is no key."""
    key_id = key_id_of(spelling)
    if key_id is None:
        raise ValueError("not an API key")
    return ApiKey(
        key_id=key_id,
        role=role,
        merchant_id=merchant_id,
        affiliate_id=affiliate_id,
        label=label,
        secret_sha256=key_hash(spelling),
        replaces_key_id=replaces_key_id,
        created_at=now,
        expires_at=None,
        revoked_at=None,
    )


def _check_tenant(field: str, value: int | None, *, is_needed: bool) -> None:
    if is_needed and value is None:
        raise InvalidValue(field, "missing", "is required for this role")
    if not is_needed and value is not None:
        raise InvalidValue(field, "not_of_this_role", "does not belong to a key of this role")
