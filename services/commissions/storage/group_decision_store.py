"""Which groups a conversion's credit was decided by, and which ones affiliates were in."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from uuid import UUID

from services.commissions.storage.commission_store import find_projected
from shared.contracts.catalogue import CATALOGUE_DECODER, AffiliateChangedV1, IntervalV1, affiliate_key
from shared.runtime.database import Session

_DECIDED: Final = """
    SELECT DISTINCT ON (conversion_id) conversion_id,
        ARRAY(SELECT jsonb_array_elements_text(decisions -> 'groups')) AS names
    FROM commission_step
    WHERE conversion_id = ANY ($1::uuid[]) AND decisions -> 'groups' IS NOT NULL
    ORDER BY conversion_id, version
"""


async def find_group_decisions(session: Session, conversion_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """By conversion: the groups of its first step that was decided by any. Others are left out."""
    connection = await session.connection()
    result = await connection.exec_driver_sql(_DECIDED, (list(conversion_ids),))
    return {row.conversion_id: list(row.names) for row in result}


async def find_groups(session: Session, affiliate_ids: Iterable[int]) -> dict[int, Mapping[str, list[IntervalV1]]]:
    """When each of the affiliates was in which group, as far as it is known here."""
    stored = await find_projected(session, [affiliate_key(each) for each in sorted(set(affiliate_ids))])
    events = [CATALOGUE_DECODER.decode(payload) for payload in stored.values()]
    return {event.affiliate_id: event.groups for event in events if isinstance(event, AffiliateChangedV1)}
