"""Overrides name affiliates that there are."""

from collections.abc import Sequence

from services.gateway.domain.terms import Term
from services.gateway.storage.party_store import known_affiliates
from shared.kernel.errors import InvalidValue
from shared.runtime.database import Session


async def check_overrides(session: Session, terms: Sequence[Term]) -> None:
    """Raises InvalidValue naming the first override of an affiliate that the network does not have."""
    named = {
        f"terms.{index}.overrides.{place}.affiliate_id": override.affiliate_id
        for index, term in enumerate(terms)
        for place, override in enumerate(term.overrides)
        if override.affiliate_id is not None
    }
    known = await known_affiliates(session, set(named.values())) if named else frozenset[int]()
    for field, affiliate_id in named.items():
        if affiliate_id not in known:
            raise InvalidValue(field, "affiliate_unknown", "names no affiliate")
