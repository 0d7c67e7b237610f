"""Change how an affiliate is paid: a new version, its details sealed, and a wait where the details changed."""

from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

import orjson

from services.commissions.domain.payout_settings import (
    NET_DAYS_MAX,
    Frequency,
    Method,
    PayoutDetails,
    PayoutSettings,
    check_details,
    check_weekday,
)
from services.commissions.storage.payout_settings_store import (
    end_hold,
    find_affiliate_payloads,
    find_sealed_details,
    find_settings,
    insert_settings,
    lock_affiliate_settings,
)
from shared.contracts.catalogue import CATALOGUE_DECODER, AffiliateChangedV1
from shared.kernel.errors import InvalidValue, TributaryError
from shared.kernel.ids import new_id
from shared.kernel.money import Money
from shared.runtime.database import Session
from shared.runtime.keyring import Keyring
from shared.runtime.sealing import seal, unseal


class AffiliateUnknown(TributaryError):
    """The catalogue has told of no such affiliate."""

    code = "affiliate_not_found"


class SettingsMissing(TributaryError):
    """The affiliate has not said yet how it wants to be paid."""

    code = "payout_settings_not_found"


@dataclass(frozen=True, slots=True)
class AskedSettings:
    """What somebody asks for. details: None keeps those that are there."""

    threshold: Money
    frequency: Frequency
    weekday: str | None
    net_days: int
    method: Method
    country: str
    details: PayoutDetails | None


@dataclass(frozen=True, slots=True)
class ChangedSettings:
    """The version before, None for the first, and the one after."""

    before: PayoutSettings | None
    after: PayoutSettings


async def change_payout_settings(
    session: Session,
    keyring: Keyring,
    affiliate_id: int,
    asked: AskedSettings,
    *,
    cooling_off: timedelta,
    now: datetime,
) -> ChangedSettings:
    """Make the next version. Details that differ from those before wait for `cooling_off`, or for finance.

    Inside the caller's transaction. A change back to what was ends no wait. Raises InvalidValue, AffiliateUnknown.
    """
    await lock_affiliate_settings(session, affiliate_id)
    await require_affiliate(session, affiliate_id)
    before = await find_settings(session, affiliate_id)
    kept = None if before is None else await open_details(session, keyring, before, now=now)
    wanted = asked.details or kept
    if wanted is None:
        raise InvalidValue("details", "details_missing", "are needed the first time")
    if not 0 <= asked.net_days <= NET_DAYS_MAX:
        raise InvalidValue("net_days", "net_days_out_of_range", f"must be 0 to {NET_DAYS_MAX}")
    check_weekday(asked.frequency, asked.weekday)
    details = check_details(wanted, asked.method, country=asked.country, currency=asked.threshold.currency)
    after = PayoutSettings(
        settings_id=new_id(),
        affiliate_id=affiliate_id,
        version=1 if before is None else before.version + 1,
        currency=asked.threshold.currency,
        threshold_minor=asked.threshold.amount_minor,
        frequency=asked.frequency,
        weekday=asked.weekday,
        net_days=asked.net_days,
        method=asked.method,
        country=asked.country,
        masked=details.masked(),
        details_changed_at=now,
        held_until=None,
        changed_at=now,
    )
    after = _with_wait(after, before, is_same=details == kept, cooling_off=cooling_off)
    await insert_settings(session, after, seal(keyring, _bytes(details), owner=after.settings_id))
    return ChangedSettings(before, after)


def _with_wait(
    after: PayoutSettings, before: PayoutSettings | None, *, is_same: bool, cooling_off: timedelta
) -> PayoutSettings:
    """The first details wait for nobody; changed ones do; the others keep the wait that they had."""
    if before is None:
        return after
    is_same = is_same and (before.method, before.country) == (after.method, after.country)
    if is_same:
        return replace(after, details_changed_at=before.details_changed_at, held_until=before.held_until)
    return replace(after, held_until=after.changed_at + cooling_off)


async def confirm_payout_settings(session: Session, affiliate_id: int) -> ChangedSettings:
    """Finance has asked the affiliate: changed details wait no longer. Raises SettingsMissing.

    Nothing changes where nothing waits.
    """
    await lock_affiliate_settings(session, affiliate_id)
    before = await find_settings(session, affiliate_id)
    if before is None:
        raise SettingsMissing("the affiliate has no payout settings")
    if before.held_until is not None:
        await end_hold(session, before)
    return ChangedSettings(before, replace(before, held_until=None))


async def open_details(session: Session, keyring: Keyring, settings: PayoutSettings, *, now: datetime) -> PayoutDetails:
    """The details of one version. Raises SealBroken."""
    sealed = await find_sealed_details(session, settings.affiliate_id, settings.version)
    return details_of(keyring, sealed.settings_id, sealed.sealed_details, now=now)


def details_of(keyring: Keyring, settings_id: UUID, sealed_details: bytes, *, now: datetime) -> PayoutDetails:
    """The details behind a seal. Raises SealBroken."""
    return PayoutDetails(**orjson.loads(unseal(keyring, sealed_details, owner=settings_id, now=now)))


async def require_affiliate(session: Session, affiliate_id: int) -> None:
    """Raises AffiliateUnknown for one that the catalogue has not told of."""
    if not await find_affiliate_payloads(session, [affiliate_id]):
        raise AffiliateUnknown("there is no such affiliate")


async def active_affiliates(session: Session, affiliate_ids: list[int]) -> set[int]:
    """Those of `affiliate_ids` that the catalogue knows and calls active."""
    payloads = await find_affiliate_payloads(session, affiliate_ids)
    events = [CATALOGUE_DECODER.decode(payload) for payload in payloads]
    return {e.affiliate_id for e in events if isinstance(e, AffiliateChangedV1) and e.status == "active"}


def _bytes(details: PayoutDetails) -> bytes:
    return orjson.dumps({name: value for name, value in asdict(details).items() if value is not None})
