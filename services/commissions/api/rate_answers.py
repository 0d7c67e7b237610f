"""A frozen exchange rate as the API shows it, wherever it stands."""

from datetime import date

from pydantic import BaseModel

from shared.contracts.commissions import RateUsedV1


class RateUsedAnswer(BaseModel):
    """A rate as it is frozen on a posting. rate: one unit of base in units of quote. as_of: the day it is for."""

    base: str
    quote: str
    rate: str
    source: str
    as_of: date


def rate_used_answer(rate: RateUsedV1) -> RateUsedAnswer:
    """The rate that a posting carries."""
    return RateUsedAnswer(
        base=rate.base, quote=rate.quote, rate=rate.rate, source=rate.source, as_of=date.fromisoformat(rate.as_of)
    )
