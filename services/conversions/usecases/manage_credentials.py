"""Issue, rotate and revoke the credentials merchants sign their postbacks with. A secret is shown once.

Each gives the act that the caller appends to the audit chain, last in its transaction.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Final, Literal
from uuid import UUID

from services.conversions.domain.signature import token_hash
from services.conversions.storage.credential_store import (
    CredentialRow,
    end_credential,
    insert_credential,
    list_credentials,
    lock_credential,
    revoke_credential,
)
from services.conversions.usecases.audited import (
    credential_issued_act,
    credential_revoked_act,
    credential_rotated_act,
)
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.ids import new_id
from shared.runtime.audit import Act
from shared.runtime.database import Session
from shared.runtime.keyring import Keyring
from shared.runtime.sealing import seal

CREDENTIALS_MAX: Final = 20
CIDRS_MAX: Final = 50
OLD_SECRET_HOURS: Final = 24
"""How long the replaced secret stays valid, so that a rotation fails no postback."""


class CredentialNotFound(TributaryError):
    """No valid credential of this merchant has the id."""

    code = "credential_not_found"


@dataclass(frozen=True, slots=True)
class Issued:
    """A new credential with its secret, which is stored sealed, or as a hash, only."""

    row: CredentialRow
    secret: str


async def issue_credential(
    session: Session,
    keyring: Keyring,
    *,
    merchant_id: int,
    kind: Literal["hmac", "token"],
    name: str,
    cidrs: Sequence[str],
    now: datetime,
) -> tuple[Issued, Act]:
    """A new credential. Raises InvalidValue for a bad network, or when the merchant has CREDENTIALS_MAX already."""
    if len(await list_credentials(session, merchant_id, now)) >= CREDENTIALS_MAX:
        raise InvalidValue("kind", "credentials_too_many", f"a merchant has at most {CREDENTIALS_MAX} credentials")
    issued = await _issue(session, keyring, merchant_id, kind, name, _read_networks(cidrs), now, replaces_id=None)
    return issued, credential_issued_act(issued.row)


async def rotate_credential(
    session: Session, keyring: Keyring, *, merchant_id: int, credential_id: UUID, now: datetime
) -> tuple[Issued, Act]:
    """A new secret in place of an old one, which stays valid for OLD_SECRET_HOURS. Raises CredentialNotFound."""
    old = await lock_credential(session, merchant_id=merchant_id, credential_id=credential_id, now=now)
    if old is None:
        raise CredentialNotFound("no such credential")
    until = now + timedelta(hours=OLD_SECRET_HOURS)
    until = min(until, old.valid_until or until)
    await end_credential(session, old.id, valid_until=until)
    issued = await _issue(session, keyring, merchant_id, old.kind, old.name, old.cidrs, now, replaces_id=old.id)
    return issued, credential_rotated_act(old, issued.row, valid_until=until)


async def withdraw_credential(session: Session, *, merchant_id: int, credential_id: UUID, now: datetime) -> Act:
    """End a credential at once. Raises CredentialNotFound."""
    old = await lock_credential(session, merchant_id=merchant_id, credential_id=credential_id, now=now)
    if old is None:
        raise CredentialNotFound("no such credential")
    await revoke_credential(session, old.id, now=now)
    return credential_revoked_act(old, revoked_at=now)


async def _issue(
    session: Session,
    keyring: Keyring,
    merchant_id: int,
    kind: str,
    name: str,
    cidrs: Sequence[str],
    now: datetime,
    *,
    replaces_id: UUID | None,
) -> Issued:
    credential_id = new_id()
    secret = ("trbw_" if kind == "hmac" else "trbt_") + secrets.token_hex(24)
    row = CredentialRow(
        id=credential_id,
        merchant_id=merchant_id,
        kind=kind,
        name=name,
        sealed_secret=seal(keyring, secret.encode("ascii"), owner=credential_id) if kind == "hmac" else None,
        token_hash=token_hash(secret) if kind == "token" else None,
        cidrs=list(cidrs),
        created_at=now,
        replaces_id=replaces_id,
    )
    await insert_credential(session, row)
    return Issued(row, secret)


def _read_networks(cidrs: Sequence[str]) -> list[str]:
    if len(cidrs) > CIDRS_MAX:
        raise InvalidValue("cidrs", "cidrs_too_many", f"at most {CIDRS_MAX} networks")
    try:
        return [str(ip_network(cidr, strict=False)) for cidr in cidrs]
    except ValueError:
        raise InvalidValue("cidrs", "cidr_malformed", "must be networks such as 192.0.2.0/24") from None
