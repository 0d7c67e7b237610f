"""What finance does with exchange rates as acts of the audit chain."""

import hashlib
from collections.abc import Sequence

from services.commissions.domain.exchange_rates import ExchangeRate, rate_text
from services.commissions.usecases.record_rates import RatesRecorded
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
