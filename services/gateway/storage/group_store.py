"""When affiliates were in groups."""

from services.gateway.domain.parties import GroupMembership
from services.gateway.storage.session import execute
from shared.runtime.database import Session


async def store_last_interval(session: Session, affiliate_id: int, group: GroupMembership) -> None:
    """Write the group's last interval, new or ended just now. The caller holds the affiliate's row lock."""
    last = group.intervals[-1]
    await execute(
        session,
        "INSERT INTO affiliate_group (affiliate_id, group_name, number, start_at, end_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (affiliate_id, group_name, number) DO UPDATE SET end_at = excluded.end_at",
        affiliate_id,
        group.name,
        len(group.intervals),
        last.start_at,
        last.end_at,
    )
