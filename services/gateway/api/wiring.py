"""What every route of the control plane works with, and whose eyes it sees the database through."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fastapi import Request

from services.gateway.api.key_desk import KeyDesk
from shared.kernel.clock import Clock
from shared.runtime.database import Database, Session
from shared.runtime.principal import Principal, tenant_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """staff: admin's and finance's role. tenants: merchants' and affiliates' role, under row-level security."""

    staff: Database
    tenants: Database
    clock: Clock
    key_desk: KeyDesk
    allow_loopback_http: bool

    def transaction_for(self, caller: Principal) -> AbstractAsyncContextManager[Session]:
        """A transaction that sees what `caller` may see."""
        tenant = tenant_of(caller)
        return self.staff.transaction() if tenant is None else self.tenants.transaction(tenant=tenant)


def wiring_of(request: Request) -> Wiring:
    """The process's wiring."""
    wiring: Wiring = request.app.state.wiring
    return wiring
