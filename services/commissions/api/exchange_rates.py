"""`/v1/exchange-rates`: finance records them, one by one or by the central bank's file, and reads which one holds."""

import base64
import binascii
import re
from datetime import date, datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, BeforeValidator, Field
from pydantic_core import PydanticCustomError

from services.commissions.api.desk import Staff, desk_of
from services.commissions.api.perform_once import Done, perform_once
from services.commissions.api.rate_answers import RateUsedAnswer, rate_used_answer
from services.commissions.clients.ecb_file import SOURCE as ECB
from services.commissions.clients.ecb_file import RateFileInvalid, read_rate_file
from services.commissions.domain.exchange_rates import ExchangeRate, exchange_rate
from services.commissions.storage.rate_store import RecordedRate
from services.commissions.usecases.audited_rates import rates_act
from services.commissions.usecases.find_rate import RateMissing, find_rate, find_rate_records
from services.commissions.usecases.find_waiting_rates import WaitingForRates, find_waiting_for_rates
from services.commissions.usecases.record_rates import RateCorrected, RatesRecorded, record_rates
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session
from shared.runtime.http_app import StrictModel, StrictRoute
from shared.runtime.principal import Principal, require_role
from shared.runtime.problem import Problem, conflict, field_invalid, not_found

_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)


def _plain_day(value: Any) -> Any:
    """Before pydantic reads a day: no seconds since 1970, no time of day."""
    if isinstance(value, str) and not _DAY.fullmatch(value):
        raise PydanticCustomError("date_malformed", "must be a date such as 2026-01-31")
    return value


router = APIRouter(prefix="/v1", route_class=StrictRoute, tags=["exchange rates"])
Finance = Annotated[Principal, Depends(require_role("finance"))]
QueryDay = Annotated[date, BeforeValidator(_plain_day)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
ReasonCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]

RATES_MAX: Final = 100
"""In one body; more come as a file."""

FILE_TEXT_MAX: Final = 60_000
"""Base64 of a file that a body has room for, a day's or a quarter's. The history goes by `tributary rates import`."""


class RateBody(StrictModel):
    """One rate: what one unit of base is worth in units of quote. source: who says so, such as `central_bank`."""

    base: Currency
    quote: Currency
    rate: Annotated[str, Field(max_length=26)]
    source: Annotated[str, Field(max_length=32)]
    as_of: date


class RatesBody(StrictModel):
    """Either rates, or file_base64: one of the central bank's CSV, ZIP or XML files.

    reason_code: why, where something recorded before is corrected. dry_run: say what would come of it, record nothing.
    """

    rates: Annotated[list[RateBody], Field(min_length=1, max_length=RATES_MAX)] | None = None
    file_base64: Annotated[str, Field(max_length=FILE_TEXT_MAX)] | None = None
    reason_code: ReasonCode | None = None
    dry_run: bool = False


class RatesRecordedAnswer(BaseModel):
    """recorded: new rows, of which corrected ones differ from what their source had said. unchanged: known before.

    unknown_currencies: in the file, and in no list of ISO 4217 any more; left out. from_day, to_day: of the rates.
    releasable: commissions held for want of a rate that have one now, for finance to release. still_held: by pair,
    such as `USD/EUR`, how many have none.
    """

    import_id: str
    is_dry_run: bool
    recorded: int
    corrected: int
    unchanged: int
    unknown_currencies: list[str]
    from_day: date
    to_day: date
    releasable: int
    still_held: dict[str, int]


class RecordedRateAnswer(RateUsedAnswer):
    """One recorded row. The newest of a pair and day holds; reason_code: why it corrects an older one."""

    recorded_at: datetime
    actor: str
    reason_code: str | None


class ExchangeRateAnswer(BaseModel):
    """The rate that holds on the day asked for, and the rows of its own day that it follows from."""

    rate: RateUsedAnswer
    records: list[RecordedRateAnswer]


@router.post("/exchange-rates", status_code=201, response_model=RatesRecordedAnswer)
async def post_rates(request: Request, caller: Finance, body: RatesBody) -> Response:
    """Record exchange rates. All of them or none; the same again changes nothing, and nothing posted changes ever."""
    now = desk_of(request).clock.now()
    rates, unknown = _read(body, today=now.date())

    async def effect(session: Session) -> Done:
        outcome = await record_rates(
            session,
            rates,
            actor=f"key:{caller.key_id}",
            now=now,
            reason_code=body.reason_code,
            is_dry_run=body.dry_run,
        )
        waiting = await find_waiting_for_rates(session, days_max=desk_of(request).rate_days_max)
        answer = _recorded_answer(outcome, rates, unknown, waiting, is_dry_run=body.dry_run)
        return Done(answer, rates_act(outcome, rates, is_dry_run=body.dry_run))

    try:
        return await perform_once(request, caller, effect, asked=body.model_dump(mode="json"), status=201)
    except RateCorrected as refused:
        raise conflict(refused.code, f"{refused}.") from None


@router.get("/exchange-rates")
async def get_rate(
    request: Request,
    caller: Staff,
    base: Currency,
    quote: Currency,
    as_of: QueryDay | None = None,
) -> ExchangeRateAnswer:
    """Read which exchange rate holds. as_of: the day, today without it; an older rate holds for some days."""
    desk = desk_of(request)
    on = as_of or desk.clock.now().date()
    async with desk.reading(caller) as session:
        try:
            found = await find_rate(session, base=base, quote=quote, on=on, days_max=desk.rate_days_max)
        except RateMissing:
            raise rate_missing(base, quote, on) from None
        records = await find_rate_records(session, found)
    return ExchangeRateAnswer(rate=rate_used_answer(found.used), records=[_record_answer(each) for each in records])


def rate_missing(base: str, quote: str, on: date) -> Problem:
    """404: no rate of the pair holds on that day."""
    return not_found(RateMissing.code, f"No exchange rate of {base}/{quote} holds on {on}.")


def _read(body: RatesBody, *, today: date) -> tuple[list[ExchangeRate], frozenset[str]]:
    if (body.rates is None) == (body.file_base64 is None):
        raise field_invalid("rates", "one_of_two", "give rates or file_base64, not both and not neither")
    if body.rates is not None:
        return _typed_rates(body.rates, today), frozenset()
    try:
        file = read_rate_file(base64.b64decode(body.file_base64 or "", validate=True), today=today)
    except (binascii.Error, ValueError):
        raise field_invalid("file_base64", "base64_malformed", "must be Base64") from None
    except RateFileInvalid as fault:
        raise field_invalid("file_base64", fault.code, str(fault)) from None
    return list(file.rates), file.unknown


def _typed_rates(given: list[RateBody], today: date) -> list[ExchangeRate]:
    rates: dict[tuple[str, ...], ExchangeRate] = {}
    for number, each in enumerate(given):
        key = (each.base, each.quote, each.as_of.isoformat(), each.source)
        if each.source == ECB:
            raise field_invalid(f"rates.{number}.source", "source_reserved", "the central bank's come by its file")
        if key in rates:
            raise field_invalid(f"rates.{number}", "rate_repeated", "names a pair, day and source a second time")
        try:
            rates[key] = exchange_rate(
                base=each.base, quote=each.quote, rate=each.rate, source=each.source, as_of=each.as_of, today=today
            )
        except InvalidValue as fault:
            raise InvalidValue(f"rates.{number}.{fault.field}", fault.code, fault.message) from None
    return list(rates.values())


def _recorded_answer(
    outcome: RatesRecorded,
    rates: list[ExchangeRate],
    unknown: frozenset[str],
    waiting: WaitingForRates,
    *,
    is_dry_run: bool,
) -> dict[str, Any]:
    days = [each.as_of for each in rates]
    return RatesRecordedAnswer(
        import_id=str(outcome.import_id),
        is_dry_run=is_dry_run,
        recorded=outcome.recorded,
        corrected=outcome.corrected,
        unchanged=outcome.unchanged,
        unknown_currencies=sorted(unknown),
        from_day=min(days),
        to_day=max(days),
        releasable=waiting.releasable,
        still_held=waiting.still_held,
    ).model_dump(mode="json")


def _record_answer(found: RecordedRate) -> RecordedRateAnswer:
    return RecordedRateAnswer(
        **rate_used_answer(found.rate.used).model_dump(),
        recorded_at=found.at,
        actor=found.actor,
        reason_code=found.reason_code,
    )
