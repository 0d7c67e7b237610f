"""A party's tax settings: rows that only grow; the newest of those that are valid by a day holds."""

from dataclasses import dataclass
from datetime import date, datetime

import msgspec

from services.commissions.domain.statement import Party
from services.commissions.domain.tax import TaxSettings
from shared.runtime.database import Session

_COLUMNS = "settings::text AS settings, actor, recorded_at"
_OF_PARTY = "(merchant_id = $1::int OR affiliate_id = $2::int)"


@dataclass(frozen=True, slots=True)
class RecordedTaxSettings:
    """One recorded row. actor: `key:<id>`."""

    settings: TaxSettings
    actor: str
    recorded_at: datetime


async def find_tax_settings(session: Session, party: Party, *, on: date) -> RecordedTaxSettings | None:
    """The settings that hold on a day: of those valid by then the latest, and of those of one day the newest row."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM tax_settings WHERE {_OF_PARTY} AND valid_from <= $3"  # noqa: S608 (constants)
        " ORDER BY valid_from DESC, id DESC LIMIT 1",
        (party.merchant_id, party.affiliate_id, on),
    )
    row = result.one_or_none()
    return None if row is None else _recorded(row.settings, row.actor, row.recorded_at)


async def list_tax_settings(session: Session, party: Party, *, limit: int) -> list[RecordedTaxSettings]:
    """What was recorded, newest row first."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(
        f"SELECT {_COLUMNS} FROM tax_settings WHERE {_OF_PARTY} ORDER BY id DESC LIMIT $3",  # noqa: S608 (constants)
        (party.merchant_id, party.affiliate_id, limit),
    )
    return [_recorded(row.settings, row.actor, row.recorded_at) for row in result]


async def insert_tax_settings(
    session: Session, party: Party, settings: TaxSettings, *, actor: str, now: datetime
) -> None:
    """Record a row."""
    connection = await session.connection()
    await connection.exec_driver_sql(
        "INSERT INTO tax_settings (merchant_id, affiliate_id, valid_from, settings, actor, recorded_at)"
        " VALUES ($1, $2, $3, $4::text::jsonb, $5, $6)",
        (
            party.merchant_id,
            party.affiliate_id,
            settings.valid_from,
            msgspec.json.encode(settings).decode(),
            actor,
            now,
        ),
    )


def _recorded(settings: str, actor: str, recorded_at: datetime) -> RecordedTaxSettings:
    return RecordedTaxSettings(msgspec.json.decode(settings, type=TaxSettings), actor, recorded_at)
