"""Value what stands on `fx_exchange` at a month's last rates, and post the difference to its book value."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from typing import Any, Final
from uuid import UUID

import msgspec

from services.commissions.domain.acts.finance_act import FinanceAct
from services.commissions.domain.acts.registry import transactions_of
from services.commissions.domain.acts.revaluation import posted_difference
from services.commissions.domain.exchange_rates import RATE_DAYS_MAX, ExchangeRate
from services.commissions.storage.ledger_store import first_open_period
from services.commissions.storage.position_store import (
    find_last_revaluation,
    find_positions,
    lock_revaluations,
)
from services.commissions.usecases.find_rate import RateMissing, load_rates
from services.commissions.usecases.post_acts import post_acts
from shared.kernel.errors import TributaryError
from shared.kernel.ids import derived_id
from shared.kernel.money import Money, convert
from shared.kernel.period import Period
from shared.runtime.database import Session

_REVALUATIONS: Final = UUID("6a0d4f0e-5f0b-5c55-9a53-7d7f6c1f2b41")
"""Under which the id of each period's act is derived: there is one, and the database refuses a second."""


class PeriodOpen(TributaryError):
    """The period is not closed yet."""

    code = "period_open"


class RevaluationDone(TributaryError):
    """The period, or a later one, is revalued already."""

    code = "revaluation_done"


@dataclass(frozen=True, slots=True)
class Valued:
    """One currency's position, and what it is worth in the base currency, rounded for show."""

    position: Money
    worth: Money
    rate: ExchangeRate


@dataclass(frozen=True, slots=True)
class Revalued:
    """A revaluation. book: what stood in the base currency. gain: posted; above zero the network gained."""

    act_id: UUID
    block_number: int | None
    period: Period
    book: Money
    gain: Money
    positions: tuple[Valued, ...]


async def revalue_positions(
    session: Session,
    period: Period,
    *,
    base: str,
    actor: str,
    now: datetime,
    rate_days_max: int = RATE_DAYS_MAX,
) -> Revalued:
    """Revalue `period`, which is closed, at the rates of its last day. Once, and never before an earlier one's turn.

    Raises PeriodOpen, RevaluationDone, RateMissing: then nothing is posted.
    """
    await lock_revaluations(session)
    last = await find_last_revaluation(session)
    if last is not None and last >= str(period):
        raise RevaluationDone(f"{last} is revalued already")
    first_open = await first_open_period(session)
    if period.end > now or (first_open is not None and first_open <= period):
        raise PeriodOpen(f"{period} is not closed yet")
    standing = await find_positions(session, period)
    book = Money(standing.pop(base, 0), base)
    positions = await _value(session, standing, base=base, period=period, rate_days_max=rate_days_max)
    inputs: dict[str, Any] = {
        "period": str(period),
        "base": base,
        "book_minor": book.amount_minor,
        "positions": [
            {"amount_minor": each.position.amount_minor, "rate": msgspec.to_builtins(each.rate.used)}
            for each in positions
        ],
    }
    act = FinanceAct(derived_id(_REVALUATIONS, str(period)), "revaluation", inputs, actor, now, None)
    block = await post_acts(session, [act], now=now)
    gain = posted_difference(transactions_of(act), base=base)
    return Revalued(act.act_id, None if block is None else block.number, period, book, gain, positions)


async def _value(
    session: Session, standing: dict[str, int], *, base: str, period: Period, rate_days_max: int
) -> tuple[Valued, ...]:
    """Each position at the rate that holds on the period's last day. Raises RateMissing."""
    on = (period.end - timedelta(days=1)).date()
    book = await load_rates(session, currencies=[base, *standing], days=[on], days_max=rate_days_max)
    valued = []
    for currency, amount_minor in standing.items():
        rate = book.find(currency, base, on, days_max=rate_days_max)
        if rate is None:
            raise RateMissing(f"no rate of {currency}/{base} holds on {on}")
        worth = convert(Fraction(amount_minor), base=currency, quote=base, rate=rate.rate)
        valued.append(Valued(Money(amount_minor, currency), worth, rate))
    return tuple(valued)
