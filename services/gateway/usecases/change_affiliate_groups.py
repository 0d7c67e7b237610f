"""Put an affiliate into a group, or take it out."""

from datetime import datetime

from services.gateway.domain.affiliate_groups import departed, joined
from services.gateway.domain.parties import Affiliate
from services.gateway.domain.refusals import NotInCatalogue
from services.gateway.storage.group_store import store_last_interval
from services.gateway.storage.party_store import lock_affiliate
from services.gateway.usecases.publish_catalogue import publish_affiliate
from shared.kernel.changed import Changed
from shared.runtime.database import Session


async def change_affiliate_groups(
    session: Session, *, affiliate_id: int, group: str, is_member: bool, now: datetime
) -> Changed[Affiliate]:
    """The affiliate in the group from now on, or out of it, published; as it was where it stands so already.

    Clicks of before keep what they had (I10): intervals are opened and closed, never rewritten. Raises NotInCatalogue
    for an unknown affiliate, or a group that it never was in; CatalogueConflict beyond the limits.
    """
    affiliate = await lock_affiliate(session, affiliate_id)
    if affiliate is None:
        raise NotInCatalogue("affiliate")
    changed = joined(affiliate, group, now) if is_member else departed(affiliate, group, now)
    if changed is not affiliate:
        membership = next(each for each in changed.groups if each.name == group)
        await store_last_interval(session, affiliate_id, membership)
        await publish_affiliate(session, changed, now)
    return Changed(affiliate, changed)
