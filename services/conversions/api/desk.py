"""What the doors work with, built once by bootstrap and kept in `app.state.desk`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import Request

from services.conversions.api.answers import over_limit
from services.conversions.domain.catalogue import Catalogue
from services.conversions.domain.signature import Network
from services.conversions.usecases.credential_book import CredentialBook
from services.conversions.usecases.judge_postback import Arrival, Submission, judge_postback
from services.conversions.usecases.postback_group import PostbackGroup
from services.conversions.usecases.rejected_postbacks import RejectedPostbacks
from shared.kernel.clock import Clock
from shared.kernel.personal_values import Screen
from shared.runtime.database import Database
from shared.runtime.keyring import Keyring
from shared.runtime.problem import Headers
from shared.runtime.projection import ProjectionFollower
from shared.runtime.rate_limit.limiter import Limiter


@dataclass(frozen=True, slots=True)
class Desk:
    """tenants, staff: the databases of the API, by who asks. trusted_proxies: whose X-Forwarded-For is believed.

    screen: what stands for values that look personal; whoever asks by an order id asks by what stands for it.
    """

    clock: Clock
    catalogue: Catalogue
    follower: ProjectionFollower
    click_keyring: Keyring
    sealing_keyring: Keyring
    book: CredentialBook
    group: PostbackGroup
    rejected: RejectedPostbacks
    limit: Limiter
    tenants: Database
    staff: Database
    screen: Screen
    trusted_proxies: Sequence[Network] = ()

    async def count(self, merchant_id: int, postbacks: int = 1) -> Headers:
        """Count a merchant's postbacks; gives their answer's RateLimit headers. Raises Problem 429: none is taken."""
        taken = await self.limit.take(str(merchant_id), postbacks)
        headers = self.limit.headers(taken)
        if not taken.is_allowed:
            raise over_limit(taken.retry_after_seconds, headers)
        return headers

    @property
    def is_ready(self) -> bool:
        """True once credentials and catalogue have been read: before, too much would wait or be refused."""
        return self.book.is_ready and self.follower.is_loaded

    def spellings(self, order_id: str | None) -> list[str] | None:
        """How an order may be recorded: by what stands for it, or, before values were screened, as it is."""
        return None if order_id is None else [order_id, self.screen.text(order_id)]

    def judge(self, fields: Mapping[str, Any], arrival: Arrival) -> Submission:
        """judge_postback with what this process knows."""
        secrets = self.click_keyring.verification_secrets(arrival.received_at)
        return judge_postback(fields, arrival, catalogue=self.catalogue, click_secrets=secrets, screen=self.screen)


def desk_of(request: Request) -> Desk:
    """The desk of the application that serves `request`."""
    desk: Desk = request.app.state.desk
    return desk
