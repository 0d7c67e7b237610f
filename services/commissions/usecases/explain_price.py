"""Explain the price of a stored step: computed again from its stored inputs, so that it is the same for ever."""

import msgspec

from services.commissions.domain.orders import order_of
from services.commissions.domain.postings import CREDITED
from services.commissions.domain.pricing import Explanation, explain, given_of
from services.commissions.domain.read_terms import read_term
from services.commissions.storage.commission_reader import StoredCommission, StoredStep
from shared.contracts.catalogue import TermV1
from shared.contracts.commissions import DecisionsV1
from shared.contracts.conversions import CONVERSIONS_DECODER
from shared.kernel.errors import TributaryError


def explain_step(commission: StoredCommission, step: StoredStep) -> Explanation | None:
    """How the price of one applied version came about; None where the version credits nobody, or waits for a rate.

    Inputs: the term that the commission keeps, the version's bytes and the decisions of its step. `verify
    --recompute` proves that these inputs come to what is in the ledger.
    """
    if step.status not in CREDITED or not commission.term:
        return None
    try:
        term = read_term(msgspec.convert(commission.term, TermV1))
        event = CONVERSIONS_DECODER.decode(step.payload)
        decisions = msgspec.json.decode(step.decisions, type=DecisionsV1)
        if decisions.held is not None:
            return None
        return explain(term, order_of(event), given_of(commission.affiliate_id, decisions))
    except (TributaryError, msgspec.ValidationError):
        return None  # only what was altered by hand cannot be read, and that is what the verifier says
