"""What the network has decided of its payouts, once for all affiliates."""

from dataclasses import dataclass
from datetime import timedelta

from services.commissions.domain.payout_batch import Debtor


@dataclass(frozen=True, slots=True)
class PayoutPolicy:
    """cooling_off: how long changed bank details wait. payer: the network's own account; None: it pays by no bank file.

    cure: how long a balance may stay negative before it stops the affiliate's payouts in every currency.
    """

    cooling_off: timedelta
    cure: timedelta
    payer: Debtor | None
