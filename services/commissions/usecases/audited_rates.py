"""What finance does with exchange rates, and by them, as acts of the audit chain."""

import hashlib
from collections.abc import Sequence

from services.commissions.domain.exchange_rates import ExchangeRate, rate_text
from services.commissions.usecases.exchange_payable import Exchanged
from services.commissions.usecases.record_rates import RatesRecorded
from services.commissions.usecases.revalue_positions import Revalued
from shared.runtime.audit import Act, state_hash


def rates_act(outcome: RatesRecorded, rates: Sequence[ExchangeRate], *, is_dry_run: bool = False) -> Act:
    """Rates were recorded. The state after it holds all that was given and how many of them were new or corrections."""
    given = hashlib.sha256()
    for each in rates:
        spelt = (each.base, each.quote, rate_text(each.rate), each.source, each.as_of.isoformat())
        given.update(" ".join(spelt).encode() + b"\n")
    state = {
        "given": given.digest(),
        "recorded": outcome.recorded,
        "corrected": outcome.corrected,
        "is_dry_run": is_dry_run,
    }
    return Act("exchange_rate", str(outcome.import_id), None, state_hash(state))


def exchange_act(done: Exchanged, affiliate_id: int) -> Act:
    """What was payable to an affiliate became payable in another currency."""
    state = {
        "affiliate_id": affiliate_id,
        "given": str(done.given),
        "received": str(done.received),
        "rate": done.rate.rate,
        "block_number": done.block_number,
    }
    return Act("currency_exchange", str(done.act_id), None, state_hash(state))


def revaluation_act(done: Revalued) -> Act:
    """What stood on `fx_exchange` at a month's end was valued, and the difference posted."""
    state = {
        "period": str(done.period),
        "book": str(done.book),
        "gain": str(done.gain),
        "positions": [[str(each.position), rate_text(each.rate.rate)] for each in done.positions],
    }
    return Act("revaluation", str(done.act_id), None, state_hash(state))
