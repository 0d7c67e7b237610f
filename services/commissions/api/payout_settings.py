"""`/v1/payout-settings`: how an affiliate wants to be paid. Its bank details go in whole and come out masked."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field

from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.domain.payout_settings import (
    NET_DAYS_MAX,
    Frequency,
    Method,
    PayoutDetails,
    PayoutSettings,
    required_fields,
)
from services.commissions.storage.payout_settings_store import find_settings
from services.commissions.usecases.audited import payout_settings_act
from services.commissions.usecases.change_payout_settings import (
    AffiliateUnknown,
    AskedSettings,
    SettingsMissing,
    change_payout_settings,
    confirm_payout_settings,
)
from shared.kernel.money import Money, parse_money
from shared.runtime.database import Session
from shared.runtime.http_app import MoneyAnswer, MoneyModel, PathId, PlainText, QueryId, StrictModel, StrictRoute
from shared.runtime.principal import Principal, own_or_asked, require_role
from shared.runtime.problem import field_invalid, not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["payouts"])
Payee = Annotated[Principal, Depends(require_role("affiliate", "admin", "finance"))]
Country = Annotated[str, Field(pattern="^[A-Z]{2}$")]
Weekday = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]
AccountText = Annotated[str | None, PlainText(64)]


class PayoutDetailsBody(StrictModel):
    """Where to. Which of them are needed: `required_fields` of the settings' answer."""

    account_holder: Annotated[str, PlainText(140)]
    iban: AccountText = None
    bic: AccountText = None
    paypal_email: Annotated[str | None, PlainText(254)] = None
    account_number: AccountText = None


class PayoutSettingsBody(StrictModel):
    """threshold: the least that is paid; its currency is the payout's. details: left out, they stay as they are."""

    threshold: MoneyModel
    frequency: Frequency
    weekday: Weekday | None = None
    net_days: Annotated[int, Field(ge=0, le=NET_DAYS_MAX)] = 0
    method: Method
    country: Country
    details: PayoutDetailsBody | None = None


class MaskedDetailsAnswer(BaseModel):
    """Enough for their owner to recognise them."""

    account_holder: str
    iban: str | None
    bic: str | None
    paypal_email: str | None
    account_number: str | None


class PayoutSettingsVersionAnswer(BaseModel):
    """One version. held_until: until when changed details wait, unless finance confirms them."""

    version: int
    threshold: MoneyAnswer
    frequency: Frequency
    weekday: Weekday | None
    net_days: int
    method: Method
    country: str
    details: MaskedDetailsAnswer
    details_changed_at: datetime
    held_until: datetime | None
    changed_at: datetime


class PayoutSettingsAnswer(BaseModel):
    """settings: null until they are first set. required_fields: of the details, by method, for country and currency."""

    affiliate_id: int
    settings: PayoutSettingsVersionAnswer | None
    required_fields: dict[Method, list[str]]


@router.get("/payout-settings", response_model=PayoutSettingsAnswer)
async def get_payout_settings(
    request: Request,
    caller: Payee,
    affiliate_id: QueryId | None = None,
    country: Annotated[str | None, Query(pattern="^[A-Z]{2}$")] = None,
    currency: Annotated[str | None, Query(pattern="^[A-Z]{3}$")] = None,
) -> dict[str, Any]:
    """How an affiliate is paid, and what each method needs. country, currency: to ask for others than those set."""
    payee = _payee(caller, affiliate_id)
    async with desk_of(request).reading(caller) as session:
        settings = await find_settings(session, payee)
    return settings_document(payee, settings, country=country, currency=currency)


@router.put("/payout-settings", response_model=PayoutSettingsAnswer)
async def put_payout_settings(
    request: Request, caller: Payee, body: PayoutSettingsBody, affiliate_id: QueryId | None = None
) -> Response:
    """Set how an affiliate is paid. Changed details wait some days, unless finance confirms them."""
    desk, payee = desk_of(request), _payee(caller, affiliate_id)
    asked = _asked(body)

    async def change(session: Session) -> Done:
        try:
            changed = await change_payout_settings(
                session,
                desk.sealing_keyring,
                payee,
                asked,
                cooling_off=desk.payout_policy.cooling_off,
                now=desk.clock.now(),
            )
        except AffiliateUnknown:
            raise _unknown_affiliate() from None
        return Done(_answer(payee, changed.after), payout_settings_act(changed.before, changed.after))

    return await perform_once(request, caller, change, asked=body.model_dump(mode="json"))


@router.post("/payout-settings/{affiliate_id}/confirm", response_model=PayoutSettingsAnswer)
async def confirm_settings(request: Request, caller: Staff, affiliate_id: PathId) -> Response:
    """Confirm changed details: they need not wait any longer. Ask the affiliate first, by another way than its key."""

    async def confirm(session: Session) -> Done:
        try:
            changed = await confirm_payout_settings(session, affiliate_id)
        except SettingsMissing:
            raise not_found("payout_settings_not_found", "The affiliate has no payout settings.") from None
        return Done(_answer(affiliate_id, changed.after), payout_settings_act(changed.before, changed.after))

    return await perform_once(request, caller, confirm, asked=None)


def settings_document(
    affiliate_id: int, settings: PayoutSettings | None, *, country: str | None = None, currency: str | None = None
) -> dict[str, Any]:
    """The answer about one affiliate's settings."""
    if settings is not None:
        country, currency = country or settings.country, currency or settings.currency
    needed = {method.value: list(required_fields(method, country=country, currency=currency)) for method in Method}
    shown = None if settings is None else _version(settings)
    return {"affiliate_id": affiliate_id, "settings": shown, "required_fields": needed}


def _answer(affiliate_id: int, settings: PayoutSettings) -> dict[str, Any]:
    document = settings_document(affiliate_id, settings)
    return PayoutSettingsAnswer.model_validate(document).model_dump(mode="json")


def _version(settings: PayoutSettings) -> dict[str, Any]:
    shown = asdict(settings)
    for name in ("settings_id", "affiliate_id", "currency", "threshold_minor", "masked"):
        del shown[name]
    threshold = MoneyAnswer.of(Money(settings.threshold_minor, settings.currency))
    return {**shown, "threshold": threshold, "details": dict(settings.masked)}


def _asked(body: PayoutSettingsBody) -> AskedSettings:
    details = None if body.details is None else PayoutDetails(**body.details.model_dump())
    return AskedSettings(
        threshold=parse_money(body.threshold.amount, body.threshold.currency, field="threshold.amount"),
        frequency=body.frequency,
        weekday=body.weekday,
        net_days=body.net_days,
        method=body.method,
        country=body.country,
        details=details,
    )


def _payee(caller: Principal, affiliate_id: int | None) -> int:
    payee = own_or_asked(caller.affiliate_id, affiliate_id)
    if payee is None:
        raise field_invalid("affiliate_id", "party_needed", "name an affiliate_id")
    return payee


def _unknown_affiliate() -> Exception:
    return not_found("affiliate_not_found", "There is no such affiliate.")
