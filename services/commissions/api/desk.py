"""What the routes work with: the clock, and a database by who asks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from services.commissions.domain.exchange_rates import RATE_DAYS_MAX
from services.commissions.domain.payout_policy import PayoutPolicy
from services.commissions.domain.statement import Party
from services.commissions.domain.statement_document import NETWORK, Letterhead
from shared.kernel.clock import Clock
from shared.runtime.database import Database, Session
from shared.runtime.keyring import Keyring
from shared.runtime.principal import Principal, require_role, tenant_of
from shared.runtime.problem import Problem, field_invalid, not_found

Reader = Annotated[Principal, Depends(require_role("affiliate", "merchant", "admin", "finance"))]
Staff = Annotated[Principal, Depends(require_role("admin", "finance"))]
Finance = Annotated[Principal, Depends(require_role("finance"))]


@dataclass(frozen=True, slots=True)
class Desk:
    """tenants: reads pass row-level security. staff: admin and finance see every row. payout_policy: the network's.

    rate_days_max: how many days old an exchange rate may be that is used. issuer: on statements' paper.
    """

    clock: Clock
    tenants: Database
    staff: Database
    sealing_keyring: Keyring
    payout_policy: PayoutPolicy
    rate_days_max: int = RATE_DAYS_MAX
    issuer: Letterhead = NETWORK

    @asynccontextmanager
    async def reading(self, caller: Principal) -> AsyncIterator[Session]:
        """A transaction as the caller: a tenant's sees that tenant's rows only."""
        tenant = tenant_of(caller)
        database = self.staff if tenant is None else self.tenants
        async with database.transaction(tenant=tenant) as session:
            yield session


def desk_of(request: Request) -> Desk:
    """The desk of the application that serves `request`."""
    desk: Desk = request.app.state.desk
    return desk


def party_asked_for(caller: Principal, *, affiliate_id: int | None, merchant_id: int | None) -> Party | None:
    """Whose money a request is about: a tenant's own, or whomever staff names; None when staff names nobody.

    Raises Problem 404 for a tenant that names another party, 422 for two parties at once.
    """
    if caller.role in ("admin", "finance"):
        if affiliate_id is not None and merchant_id is not None:
            raise field_invalid("merchant_id", "one_party", "name an affiliate or a merchant, not both")
        if affiliate_id is None and merchant_id is None:
            return None
        return Party(merchant_id=merchant_id, affiliate_id=affiliate_id)
    if affiliate_id not in (None, caller.affiliate_id) or merchant_id not in (None, caller.merchant_id):
        raise not_found("party_not_found", "There is no such party.")
    return Party(merchant_id=caller.merchant_id, affiliate_id=caller.affiliate_id)


def party_needed() -> Problem:
    """The 422 for staff that names nobody where somebody is needed."""
    return field_invalid("affiliate_id", "party_needed", "name an affiliate_id or a merchant_id")
