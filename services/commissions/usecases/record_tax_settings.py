"""Record how a party is taxed: a new row each time; what was frozen on a statement stays."""

from dataclasses import dataclass
from datetime import datetime

from services.commissions.domain.statement import Party
from services.commissions.domain.tax import TaxSettings
from services.commissions.storage.tax_store import RecordedTaxSettings, find_tax_settings, insert_tax_settings
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


@dataclass(frozen=True, slots=True)
class TaxSettingsRecorded:
    """What held on the day from which the new settings hold, and what holds now."""

    before: RecordedTaxSettings | None
    after: RecordedTaxSettings


async def record_tax_settings(
    session: Session, party: Party, settings: TaxSettings, *, actor: str, now: datetime
) -> TaxSettingsRecorded:
    """Record `settings`; the same as what holds that day already changes nothing. actor: `key:<id>`.

    Raises InvalidValue for self-billing of a merchant.
    """
    if settings.self_billing is not None and party.affiliate_id is None:
        raise InvalidValue("self_billing", "self_billing_of_merchant", "only an affiliate's invoice is written for it")
    before = await find_tax_settings(session, party, on=settings.valid_from)
    if before is not None and before.settings == settings:
        return TaxSettingsRecorded(before, before)
    await insert_tax_settings(session, party, settings, actor=actor, now=now)
    return TaxSettingsRecorded(before, RecordedTaxSettings(settings, actor, now))
