"""Who may call a route, as FastAPI dependencies. The route table holds the same roles; a test compares them."""

from typing import Annotated

from fastapi import Depends

from services.gateway.api.wiring import Wiring, wiring_of
from shared.runtime.principal import Principal, require_role

Admin = Annotated[Principal, Depends(require_role("admin"))]
Affiliate = Annotated[Principal, Depends(require_role("affiliate"))]
AdminOrMerchant = Annotated[Principal, Depends(require_role("admin", "merchant"))]
OfferReader = Annotated[Principal, Depends(require_role("admin", "merchant", "affiliate"))]
Anyone = Annotated[Principal, Depends(require_role("admin", "merchant", "affiliate", "finance"))]
Wired = Annotated[Wiring, Depends(wiring_of)]
