"""Merchants' postback credentials: secrets sealed, tokens as hashes; every change moves a counter that caches watch."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import RowMapping, text

from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One stored credential. Exactly one of sealed_secret and token_hash is set, by kind."""

    id: UUID
    merchant_id: int
    kind: str
    name: str
    sealed_secret: bytes | None
    token_hash: bytes | None
    cidrs: Sequence[str]
    created_at: datetime
    valid_until: datetime | None = None
    replaces_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class SealedRow:
    """A credential's sealed secret. Its first byte names the sealing key."""

    id: UUID
    sealed_secret: bytes


_COLUMNS = "id, merchant_id, kind, name, sealed_secret, token_hash, cidrs, created_at, valid_until, replaces_id"
_NOT_OVER = "revoked_at IS NULL AND (valid_until IS NULL OR valid_until >= :now)"


async def insert_credential(session: Session, credential: CredentialRow) -> None:
    """Add a credential."""
    await session.execute(
        text(
            f"INSERT INTO postback_credential ({_COLUMNS}) VALUES (:id, :merchant_id, :kind, :name, :sealed_secret,"  # noqa: S608
            " :token_hash, :cidrs, :created_at, :valid_until, :replaces_id)"
        ),
        {name: getattr(credential, name) for name in _COLUMNS.split(", ")},
    )
    await _changed(session)


async def list_credentials(session: Session, merchant_id: int, now: datetime) -> list[CredentialRow]:
    """A merchant's credentials that are still valid, oldest first."""
    result = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM postback_credential WHERE merchant_id = :merchant_id AND {_NOT_OVER} ORDER BY id"  # noqa: S608
        ),
        {"merchant_id": merchant_id, "now": now},
    )
    return [_read(row) for row in result.mappings()]


async def lock_credential(
    session: Session, *, merchant_id: int, credential_id: UUID, now: datetime
) -> CredentialRow | None:
    """One valid credential, locked until the transaction ends."""
    result = await session.execute(
        text(
            f"SELECT {_COLUMNS} FROM postback_credential"  # noqa: S608
            f" WHERE merchant_id = :merchant_id AND id = :id AND {_NOT_OVER} FOR UPDATE"
        ),
        {"merchant_id": merchant_id, "id": credential_id, "now": now},
    )
    row = result.mappings().first()
    return None if row is None else _read(row)


async def end_credential(session: Session, credential_id: UUID, *, valid_until: datetime) -> None:
    """Let a credential run out."""
    await session.execute(
        text("UPDATE postback_credential SET valid_until = :valid_until WHERE id = :id"),
        {"id": credential_id, "valid_until": valid_until},
    )
    await _changed(session)


async def revoke_credential(session: Session, credential_id: UUID, *, now: datetime) -> None:
    """End a credential at once."""
    await session.execute(
        text("UPDATE postback_credential SET revoked_at = :now WHERE id = :id"), {"id": credential_id, "now": now}
    )
    await _changed(session)


async def read_change_count(session: Session) -> int:
    """Moves whenever any credential changes."""
    result = await session.execute(text("SELECT count FROM credential_change"))
    return int(result.scalar_one())


async def list_all_credentials(session: Session, now: datetime) -> list[CredentialRow]:
    """Every valid credential of every merchant, for the cache of the door."""
    result = await session.execute(
        text(f"SELECT {_COLUMNS} FROM postback_credential WHERE {_NOT_OVER}"),  # noqa: S608
        {"now": now},
    )
    return [_read(row) for row in result.mappings()]


async def list_sealed_otherwise(session: Session, key_id: int, *, after_id: UUID | None, limit: int) -> list[SealedRow]:
    """By id, those that another sealing key than `key_id` sealed, ended ones too; locked until the transaction ends."""
    result = await session.execute(
        text(
            "SELECT id, sealed_secret FROM postback_credential WHERE sealed_secret IS NOT NULL"
            " AND get_byte(sealed_secret, 0) <> :key_id AND (CAST(:after_id AS uuid) IS NULL OR id > :after_id)"
            " ORDER BY id LIMIT :limit FOR UPDATE"
        ),
        {"key_id": key_id, "after_id": after_id, "limit": limit},
    )
    return [SealedRow(row.id, bytes(row.sealed_secret)) for row in result]


async def store_sealed_secret(session: Session, credential_id: UUID, sealed_secret: bytes) -> None:
    """The same secret in another seal. The caller holds the row's lock; caches need not hear of it."""
    await session.execute(
        text("UPDATE postback_credential SET sealed_secret = :sealed_secret WHERE id = :id"),
        {"id": credential_id, "sealed_secret": sealed_secret},
    )


async def count_sealed_with(session: Session, key_id: int, now: datetime) -> int:
    """Credentials that are still valid and sealed with this key: they are lost when it is."""
    result = await session.execute(
        text(
            f"SELECT count(*) FROM postback_credential WHERE {_NOT_OVER}"  # noqa: S608
            " AND sealed_secret IS NOT NULL AND get_byte(sealed_secret, 0) = :key_id"
        ),
        {"key_id": key_id, "now": now},
    )
    return int(result.scalar_one())


async def _changed(session: Session) -> None:
    await session.execute(text("UPDATE credential_change SET count = count + 1"))


def _read(row: RowMapping) -> CredentialRow:
    return CredentialRow(**{name: row[name] for name in _COLUMNS.split(", ")})
