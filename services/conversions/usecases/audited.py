"""What people do here as acts of the audit chain: which state of each thing the hashes vouch for.

Left out: order, customer and sub IDs, coupons and names of credentials, which may be people's; secrets and their
hashes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from services.conversions.domain.conversion import Conversion
from services.conversions.storage.credential_store import CredentialRow
from shared.kernel.money import Money
from shared.runtime.audit import Act, state_hash


def conversion_act(before: Conversion, after: Conversion) -> Act:
    """A conversion was approved, rejected, reversed, released or adjusted."""
    return Act.of("conversion", after.id, _conversion_state, before, after)


def credential_issued_act(row: CredentialRow) -> Act:
    """A merchant got a credential."""
    return Act.of("postback_credential", row.id, _credential_state, None, row)


def credential_rotated_act(old: CredentialRow, new: CredentialRow, *, valid_until: datetime) -> Act:
    """`old` got an end, and `new` in its place. One act, of the old one; the state after it holds both."""
    ended = replace(old, valid_until=valid_until)
    after = state_hash({"old": _credential_state(ended), "new": _credential_state(new)})
    return Act("postback_credential", str(old.id), state_hash(_credential_state(old)), after)


def credential_revoked_act(old: CredentialRow, *, revoked_at: datetime) -> Act:
    """A credential was ended at once."""
    state = _credential_state(old)
    return Act("postback_credential", str(old.id), state_hash(state), state_hash({**state, "revoked_at": revoked_at}))


def credentials_resealed_act(key_id: int, credential_ids: Sequence[UUID]) -> Act:
    """Credentials' secrets were sealed anew with a sealing key. Nothing that decides of them changed."""
    after = state_hash({"key_id": key_id, "credential_ids": list(credential_ids)})
    return Act("sealing_key", str(key_id), None, after)


def _conversion_state(conversion: Conversion) -> Mapping[str, Any]:
    return {
        "conversion_id": conversion.id,
        "merchant_id": conversion.merchant_id,
        "affiliate_id": conversion.affiliate_id,
        "event": conversion.event,
        "version": conversion.version,
        "status": conversion.status,
        "offer_id": conversion.offer_id,
        "offer_version": conversion.offer_version,
        "order_amount": _money_state(conversion.order_amount),
        "net_amount": _money_state(conversion.net_amount),
        "approve_at": conversion.approve_at,
        "reason_code": conversion.reason_code,
        "changed_at": conversion.changed_at,
    }


def _credential_state(row: CredentialRow) -> Mapping[str, Any]:
    return {
        "credential_id": row.id,
        "merchant_id": row.merchant_id,
        "kind": row.kind,
        "cidrs": list(row.cidrs),
        "created_at": row.created_at,
        "valid_until": row.valid_until,
        "replaces_id": row.replaces_id,
    }


def _money_state(money: Money | None) -> tuple[int, str] | None:
    return None if money is None else (money.amount_minor, money.currency)
