"""`/v1/affiliates/{id}/tax-settings` and a merchant's: how a party is taxed and named on invoices, since when."""

from datetime import date
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from services.commissions.api.desk import Finance, Reader, desk_of, party_asked_for
from services.commissions.api.exchange_rates import QueryDay
from services.commissions.api.ledger_answers import InstantText
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.domain.statement import Party
from services.commissions.domain.tax import (
    ADDRESS_LINES_MAX,
    LINE_CHARACTERS_MAX,
    NAME_CHARACTERS_MAX,
    SelfBilling,
    TaxSettings,
)
from services.commissions.storage.tax_store import RecordedTaxSettings, list_tax_settings
from services.commissions.usecases.change_payout_settings import AffiliateUnknown, require_affiliate
from services.commissions.usecases.record_payment import MerchantUnknown, require_merchant
from services.commissions.usecases.record_tax_settings import TaxSettingsRecorded, record_tax_settings
from services.commissions.usecases.statement_forms.plain import instant_text, party_document
from shared.kernel.money import parse_rate_percent
from shared.runtime.audit import Act
from shared.runtime.database import Session
from shared.runtime.http_app import PlainText, StrictModel, StrictRoute
from shared.runtime.principal import Principal
from shared.runtime.problem import not_found

router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["statements"])
PathId = Annotated[int, Path(ge=1, le=2**31 - 1)]

SETTINGS_MAX: Final = 100
"""Rows shown, newest first: more changes than any party makes."""


class SelfBillingBody(StrictModel):
    """The agreement by which the network writes the affiliate's invoice."""

    agreed_on: QueryDay
    reference: Annotated[str, PlainText(LINE_CHARACTERS_MAX)]


class TaxSettingsBody(StrictModel):
    """valid_from: the first day; a statement takes what holds on its period's last. rate_percent: exact decimal."""

    valid_from: QueryDay
    legal_name: Annotated[str, PlainText(NAME_CHARACTERS_MAX)]
    address: Annotated[
        list[Annotated[str, PlainText(LINE_CHARACTERS_MAX)]],
        Field(min_length=1, max_length=ADDRESS_LINES_MAX),
    ]
    country: Annotated[str, Field(max_length=2)]
    tax_id: Annotated[str, Field(max_length=20)] | None = None
    rate_percent: Annotated[str, Field(max_length=10)]
    reverse_charge: bool = False
    self_billing: SelfBillingBody | None = None


class SelfBillingAnswer(BaseModel):
    """The agreement by which the network writes the affiliate's invoice."""

    agreed_on: date
    reference: str


class TaxSettingsAnswer(BaseModel):
    """One recorded row."""

    valid_from: date
    legal_name: str
    address: list[str]
    country: str
    tax_id: str | None
    rate_percent: str
    reverse_charge: bool
    self_billing: SelfBillingAnswer | None
    recorded_at: InstantText


class TaxSettingsList(BaseModel):
    """Everything that was recorded, newest row first; of the rows valid by a day, the latest day's newest holds."""

    items: list[TaxSettingsAnswer]
    next_cursor: None


@router.put("/affiliates/{affiliate_id}/tax-settings", response_model=TaxSettingsAnswer)
async def put_affiliate_settings(
    request: Request, caller: Finance, affiliate_id: PathId, body: TaxSettingsBody
) -> Response:
    """Record an affiliate's tax settings. Rows only grow; a numbered statement keeps those that it was made with."""
    return await _record(request, caller, Party(affiliate_id=affiliate_id), body)


@router.put("/merchants/{merchant_id}/tax-settings", response_model=TaxSettingsAnswer)
async def put_merchant_settings(
    request: Request, caller: Finance, merchant_id: PathId, body: TaxSettingsBody
) -> Response:
    """Record a merchant's tax settings. Rows only grow; a numbered statement keeps those that it was made with."""
    return await _record(request, caller, Party(merchant_id=merchant_id), body)


@router.get("/affiliates/{affiliate_id}/tax-settings", response_model=TaxSettingsList)
async def get_affiliate_settings(request: Request, caller: Reader, affiliate_id: PathId) -> Response:
    """Read an affiliate's tax settings, newest row first."""
    party_asked_for(caller, affiliate_id=affiliate_id, merchant_id=None)
    return await _list(request, caller, Party(affiliate_id=affiliate_id))


@router.get("/merchants/{merchant_id}/tax-settings", response_model=TaxSettingsList)
async def get_merchant_settings(request: Request, caller: Reader, merchant_id: PathId) -> Response:
    """Read a merchant's tax settings, newest row first."""
    party_asked_for(caller, affiliate_id=None, merchant_id=merchant_id)
    return await _list(request, caller, Party(merchant_id=merchant_id))


async def _record(request: Request, caller: Principal, party: Party, body: TaxSettingsBody) -> Response:
    desk, settings = desk_of(request), _read(body)

    async def effect(session: Session) -> Done:
        await _require_known(session, party)
        recorded = await record_tax_settings(
            session, party, settings, actor=f"key:{caller.key_id}", now=desk.clock.now()
        )
        return Done(_answer(recorded.after), _act(party, recorded))

    return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"))


async def _list(request: Request, caller: Principal, party: Party) -> Response:
    async with desk_of(request).reading(caller) as session:
        await _require_known(session, party)
        rows = await list_tax_settings(session, party, limit=SETTINGS_MAX)
    return JSONResponse({"items": [_answer(row) for row in rows], "next_cursor": None})


async def _require_known(session: Session, party: Party) -> None:
    try:
        if party.affiliate_id is not None:
            await require_affiliate(session, party.affiliate_id)
        if party.merchant_id is not None:
            await require_merchant(session, party.merchant_id)
    except (AffiliateUnknown, MerchantUnknown):
        raise not_found("party_not_found", "There is no such party.") from None


def _read(body: TaxSettingsBody) -> TaxSettings:
    agreed = body.self_billing
    return TaxSettings(
        valid_from=body.valid_from,
        legal_name=body.legal_name,
        address=tuple(body.address),
        country=body.country,
        tax_id=body.tax_id,
        rate_percent=parse_rate_percent(body.rate_percent),
        is_reverse_charge=body.reverse_charge,
        self_billing=None if agreed is None else SelfBilling(agreed.agreed_on, agreed.reference),
    )


def _act(party: Party, recorded: TaxSettingsRecorded) -> Act:
    named = party_document(party)
    return Act.of("tax_settings", f"{named['kind']}:{named['id']}", _state, recorded.before, recorded.after)


def _state(row: RecordedTaxSettings) -> dict[str, Any]:
    """What decides, and nothing that names somebody; recorded_at tells two rows apart."""
    settings = row.settings
    return {
        "valid_from": settings.valid_from.isoformat(),
        "country": settings.country,
        "rate_percent": str(settings.rate_percent),
        "reverse_charge": settings.is_reverse_charge,
        "is_self_billed": settings.self_billing is not None,
        "recorded_at": row.recorded_at,
    }


def _answer(row: RecordedTaxSettings) -> dict[str, Any]:
    settings = row.settings
    agreed = settings.self_billing
    return {
        "valid_from": settings.valid_from.isoformat(),
        "legal_name": settings.legal_name,
        "address": list(settings.address),
        "country": settings.country,
        "tax_id": settings.tax_id,
        "rate_percent": str(settings.rate_percent),
        "reverse_charge": settings.is_reverse_charge,
        "self_billing": None
        if agreed is None
        else {"agreed_on": agreed.agreed_on.isoformat(), "reference": agreed.reference},
        "recorded_at": instant_text(row.recorded_at),
    }
