"""Numbered statements without a month of bookings, and what finance says of a party's taxes."""

from datetime import UTC, datetime
from typing import Any

from services.commissions.domain.statement import Party
from services.commissions.domain.statement_document import Letterhead
from services.commissions.storage.issued_store import lock_numbers
from services.commissions.usecases.issue_statement import StatementKey, issue_statement
from shared.kernel.period import Period
from shared.runtime.database import Database

CLOSED = Period(2001, 1)
"""A month before every booking: closing it changes nothing for anybody."""

ISSUER = Letterhead("Meridian", ("12 Harbour Street",), "DE123456789")
ISSUED_AT = datetime(2026, 11, 24, 8, tzinfo=UTC)


async def issue_empty_statement(database: Database, party: Party) -> str:
    """The number of a statement of nothing, committed."""
    async with database.transaction() as session:
        connection = await session.connection()
        await connection.exec_driver_sql(
            "INSERT INTO period_close (period, block_number, closed_at) VALUES ($1, 0, now()) ON CONFLICT DO NOTHING",
            (str(CLOSED),),
        )
        await lock_numbers(session)
        issued = await issue_statement(session, StatementKey(party, CLOSED, "EUR"), issuer=ISSUER, now=ISSUED_AT)
    return issued.number


def tax_settings_body(**changed: Any) -> dict[str, Any]:
    """A body of `PUT /v1/affiliates/{id}/tax-settings`."""
    return {
        "valid_from": "2026-01-01",
        "legal_name": "Café Łódź",
        "address": ["Rue de l’Église 5", "1000 Bruxelles"],
        "country": "BE",
        "tax_id": "BE0123456789",
        "rate_percent": "21",
        **changed,
    }
